"""Several processes of one service, each on a port of its own, under a parent that only keeps them running.

Python runs on one core for each process. The parent starts the service's own module again for each number, rather than fork:
what gRPC has set up does not survive a fork.
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
MOST_WAIT = 10.0
"""Seconds before a process that died is started again."""
STEADY_SECONDS = 10.0
"""A process that ran for so long has not failed to start: the next wait is a short one again."""
LAST_LINE_SECONDS = 0.1
"""How long a process whose supervisor is gone waits for its log's reader."""


def supervise(module: str, count: int) -> int:
    """Run `count` processes of `python -m module` until SIGTERM or SIGINT; the exit status for this one, see Supervisor."""
    return run_service(Supervisor([sys.executable, "-m", module], count).run)


def join_supervisor(arguments: Sequence[str]) -> int | None:
    """The number, from 1 on, of this process if a supervisor started it with these arguments, else None.

    From then on it ends when the supervisor does, however that happens.
    """
    if len(arguments) != 2 or arguments[0] != NUMBER_OPTION:
        return None
    # Ctrl-C goes to the whole process group, and the supervisor passes it on as SIGTERM. Told twice, a process could be hit
    # when it has ended in all but name.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # What this process starts itself finds nothing on its standard input, and must not hold the lifeline.
    lifeline = os.dup(sys.stdin.fileno())
    with open(os.devnull) as nothing:  # noqa: PTH123 - only its number is used
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    threading.Thread(target=_end_with, args=(lifeline,), name="supervisor-watch", daemon=True).start()
    return int(arguments[1])


def _end_with(lifeline: int) -> None:
    """At once, as a lone process that is killed would: whoever starts the service again needs the ports and the names."""
    try:
        os.read(lifeline, 1)
        log.error("supervisor_gone")
        flush_logs(LAST_LINE_SECONDS)
    finally:
        os._exit(1)


class Supervisor:
    """Starts a process that died again, and ends all of them together."""

    def __init__(self, command: Sequence[str], count: int) -> None:
        """`command` starts a process; it is given its number as an option, for join_supervisor."""
        self._command = command
        self._count = count

    async def run(self, stop: asyncio.Event) -> int:
        """Until `stop` is set and all have ended in order: status 0, or 1 if one ended otherwise.

        Status 2 if a process ended with it the first time it was started: its settings are wrong or its port is taken. Sets
        `stop` then. Later on only what is around it can have changed, so it is started again like any other.
        """
        # The processes hold one end; the kernel closes the other when this process is gone, after SIGKILL too.
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
        """Keep one process running; its part of the exit status."""
        wait = FIRST_WAIT
        is_first = True
        while True:
            began = time.monotonic()
            code = await self._run_one(number, far_end, stop)
            if stop.is_set():
                # By the signal itself, if that came before it could be handled.
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
            wait = min(2 * wait, MOST_WAIT)

    async def _run_one(self, number: int, far_end: int, stop: asyncio.Event) -> int | None:
        """The exit code of a process, which is told to end once `stop` is set; None if it could not be started."""
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
        tell = log.info if stop.is_set() else log.warning
        tell("process_ended", process=number, pid=process.pid, ended=how_it_ended(code))
        return code
