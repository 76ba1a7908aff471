"""A worker with the handlers that a page of the docs tells its reader to write."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local_stack.stack import Stack
from local_stack.testing import environments_of
from tests.fork_server import ForkServer
from tests.worker_process import worker_processes

NUMBER = 2
DEADLINE = 30.0


@contextmanager
def readers_worker(stack: Stack, fork_server: ForkServer, folder: Path, module: str) -> Iterator[None]:
    """Beside the shared system's worker. The module must be importable."""
    own = {"WORKER_JOB_TYPES": "", **environments_of(module, {})["worker"]}
    with worker_processes(stack, fork_server, folder) as workers:
        worker = workers.start_serving(NUMBER, environment=own)
        yield
        # A worker that is killed would be listed as lost for a while.
        worker.process.terminate()
        worker.process.wait(DEADLINE)
