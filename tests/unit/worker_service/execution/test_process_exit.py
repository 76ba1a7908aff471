"""A worker's process ends in order, or at once if a thread is left, whose job may run elsewhere by now."""

from collections.abc import Iterator

import pytest

from tests.forked_code import CodeServer

SCRIPT = """
import asyncio, atexit, sys, threading
from worker_service.execution.process_exit import run_and_exit
from worker_service.execution.threads import any_thread_left, start_thread

go_on = threading.Event()
atexit.register(print, "cleaned up")

async def work():
    running = start_thread(go_on.wait, "1")
    if sys.argv[1] == "returns":
        go_on.set()
        await running
        while any_thread_left():
            await asyncio.sleep(0.01)
    print("worked")
    return 3

sys.exit(asyncio.run(run_and_exit(work())))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[CodeServer]:
    with CodeServer("worker_service.execution.process_exit", "worker_service.execution.threads") as server:
        yield server


@pytest.mark.parametrize(
    ("handler", "written"), [("returns", ["worked", "cleaned up"]), ("goes on", ["worked"])]
)
def test_a_process_with_a_thread_left_ends_before_python_cleans_up(
    server: CodeServer, handler: str, written: list[str]
) -> None:
    with server.run(SCRIPT, handler) as run:
        out, _ = run.communicate()

    assert (run.returncode, out.splitlines()) == (3, written)
