"""The module for `celery --app bench.peers.celery_worker worker`."""

import os

from bench.peers.celery_app import celery_app
from bench.peers.peer import BROKER, RESULTS

app = celery_app(os.environ[BROKER], os.environ[RESULTS])
