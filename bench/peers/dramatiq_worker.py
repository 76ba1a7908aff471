"""The module for `dramatiq bench.peers.dramatiq_worker:broker`."""

import os

from bench.peers.dramatiq_app import dramatiq_actor
from bench.peers.peer import BROKER, RESULTS

broker = dramatiq_actor(os.environ[BROKER], os.environ[RESULTS]).broker
