"""The module for `taskiq worker bench.peers.taskiq_worker:broker`."""

import os

from bench.peers.peer import BROKER, RESULTS
from bench.peers.taskiq_app import taskiq_broker

broker = taskiq_broker(os.environ[BROKER], os.environ[RESULTS])
