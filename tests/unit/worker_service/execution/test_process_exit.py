"""A worker's process ends in order, or at once if a thread is left, whose job may run elsewhere by now."""

import subprocess
import sys

import pytest

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


@pytest.mark.parametrize(
    ("handler", "written"), [("returns", ["worked", "cleaned up"]), ("goes on", ["worked"])]
)
def test_a_process_with_a_thread_left_ends_before_python_cleans_up(handler: str, written: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, handler], capture_output=True, text=True, timeout=30, check=False
    )

    assert (ended.returncode, ended.stdout.splitlines()) == (3, written)
