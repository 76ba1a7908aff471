"""The module for `celery --app bench.peers.celery_worker worker`."""

import os

from bench.peers.celery_app import BROKER, RESULTS, celery_app

app = celery_app(os.environ[BROKER], os.environ[RESULTS])
