"""Runs several processes of one service, each on its own port, under a parent that only keeps them running.

A Python process uses about one core. The parent starts the service's module again for each process instead of
forking, because gRPC does not survive a fork.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog

from service_runtime.exit_codes import how_it_ended
from service_runtime.logging import flush_logs
from service_runtime.run import run_service
from service_runtime.settings import WRONG_SETTINGS_STATUS

log = structlog.get_logger()

NUMBER_OPTION = "--process"
FIRST_WAIT = 0.1
MAX_WAIT = 10.0
"""Seconds before a process that died is started again: at first, and at most."""
STEADY_SECONDS = 10.0
"""A process that dies after this time did start: the next wait is FIRST_WAIT again."""
LAST_LINE_SECONDS = 0.1
"""How long a process without a supervisor waits until its last log line is written."""


def supervise(module: str, count: int) -> int:
    """Run `count` processes of `python -m module` until SIGTERM or SIGINT. Returns the exit status."""
    return run_service(Supervisor([sys.executable, "-m", module], count).run)


def join_supervisor(arguments: Sequence[str]) -> int | None:
    """The number of this process, from 1 on, if a supervisor started it with these arguments; else None.

    From now on this process ends when the supervisor ends, for whatever reason.
    """
    if len(arguments) != 2 or arguments[0] != NUMBER_OPTION:
        return None
    # Ctrl-C sends SIGINT to the whole process group, and the supervisor sends SIGTERM as well. The second
    # signal could kill a process that has removed its handlers and is about to exit.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # Children of this process get an empty standard input; they must not inherit the lifeline.
    lifeline = os.dup(sys.stdin.fileno())
    with open(os.devnull) as nothing:  # noqa: PTH123 - only the file descriptor is used
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    threading.Thread(target=_end_with, args=(lifeline,), name="supervisor-watch", daemon=True).start()
    return int(arguments[1])


def _end_with(lifeline: int) -> None:
    """Wait until the supervisor ends, then exit at once: the next start needs the ports and the names."""
    try:
        os.read(lifeline, 1)
        log.error("supervisor_gone")
        flush_logs(LAST_LINE_SECONDS)
    finally:
        os._exit(1)


class Supervisor:
    """Restarts processes that die, and ends all of them together."""

    def __init__(self, command: Sequence[str], count: int) -> None:
        """`command` starts a process. The option that join_supervisor reads is appended."""
        self._command = command
        self._count = count

    async def run(self, stop: asyncio.Event) -> int:
        """Run until `stop` is set and all processes have ended. Returns 0, or 1 if a process did not end in
        order.

        Returns 2, and sets `stop`, if a process ends with status 2 at its first start: its settings are
        invalid or its port is taken. At a later start it is restarted like any other, because its settings
        have worked before.
        """
        # The processes hold one end of the pipe. The kernel closes the other when this process ends, even by
        # SIGKILL.
        far_end, lifeline = os.pipe()
        try:
            async with asyncio.TaskGroup() as group:
                keepers = [
                    group.create_task(self._keep(number, far_end, stop))
                    for number in range(1, self._count + 1)
                ]
        finally:
            os.close(lifeline)
            os.close(far_end)
        return max(keeper.result() for keeper in keepers)

    async def _keep(self, number: int, far_end: int, stop: asyncio.Event) -> int:
        """Keep one process running until `stop`. Returns its part of the exit status."""
        wait = FIRST_WAIT
        is_first = True
        while True:
            began = time.monotonic()
            code = await self._run_one(number, far_end, stop)
            if stop.is_set():
                # A signal that comes before the process handles signals kills it; that is in order too.
                return 0 if code in (0, -signal.SIGTERM, -signal.SIGINT) else 1
            if is_first and code == WRONG_SETTINGS_STATUS:
                stop.set()
                return code
            is_first = False
            if time.monotonic() - began >= STEADY_SECONDS:
                wait = FIRST_WAIT
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
                return 0
            wait = min(2 * wait, MAX_WAIT)

    async def _run_one(self, number: int, far_end: int, stop: asyncio.Event) -> int | None:
        """Run a process until it ends; `stop` sends SIGTERM. The exit code; None if it did not start."""
        command = [*self._command, NUMBER_OPTION, str(number)]
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=far_end)
        except OSError as error:
            log.warning("process_not_started", process=number, error=str(error))
            return None
        log.info("process_started", process=number, pid=process.pid)
        ending = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not ending.done():
            with suppress(ProcessLookupError):
                process.terminate()
        code = await ending
        log_end = log.info if stop.is_set() else log.warning
        log_end("process_ended", process=number, pid=process.pid, ended=how_it_ended(code))
        return code
