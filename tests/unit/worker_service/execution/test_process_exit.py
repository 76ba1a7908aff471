"""The end of a worker's process: in order, or at once where a thread's job may run elsewhere by now."""

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, atexit, sys, threading
from worker_service.execution.process_exit import run_and_exit
from worker_service.execution.threads import any_thread_left, start_thread

going_on = threading.Event()
atexit.register(print, "tidied up")

async def work():
    running = start_thread(going_on.wait, "1")
    if sys.argv[1] == "returns":
        going_on.set()
        await running
        while any_thread_left():
            await asyncio.sleep(0.01)
    print("worked")
    return 3

sys.exit(asyncio.run(run_and_exit(work())))
"""


@pytest.mark.parametrize(
    ("handler", "written"), [("returns", ["worked", "tidied up"]), ("goes on", ["worked"])]
)
def test_a_thread_that_goes_on_ends_with_the_work_and_before_python_tidies_up(
    handler: str, written: list[str]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, handler], capture_output=True, text=True, timeout=30, check=False
    )

    assert (ended.returncode, ended.stdout.splitlines()) == (3, written)
