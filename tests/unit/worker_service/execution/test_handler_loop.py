"""Handlers share an event loop. A handler that misuses it fails, but its neighbours and the worker go on."""

import asyncio
import contextvars
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from tests.unit.worker_service.execution.test_executor import DEADLINE
from tests.waiting import until
from worker_service import Job
from worker_service.execution import executor, handler_loop, loop_watch
from worker_service.execution.executor import Executor
from worker_service.execution.loop_watch import LoopStuck
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Reason, Succeeded
from worker_service.execution.shared_loop import SharedLoop
from worker_service.handler_api.handler import HandlerSpec

Handler = Callable[[Job], Awaitable[dict[str, Any]]]
NUMBER = contextvars.ContextVar("number", default=0)


async def leave() -> None:
    await asyncio.sleep(0)
    sys.exit(3)


async def gather(_job: Job) -> dict[str, Any]:
    await asyncio.gather(leave(), asyncio.sleep(3600))
    return {}


async def task_group(_job: Job) -> dict[str, Any]:
    async with asyncio.TaskGroup() as group:
        group.create_task(leave())
        await asyncio.sleep(3600)
    return {}


async def forgotten_task(_job: Job) -> dict[str, Any]:
    forgotten = asyncio.create_task(leave())
    await asyncio.sleep(3600)
    return {"done": forgotten.done()}


async def task_of_a_task(_job: Job) -> dict[str, Any]:
    async def outer() -> None:
        inner = asyncio.create_task(leave())
        await asyncio.sleep(3600)
        await inner

    await asyncio.gather(outer())
    return {}


async def callback(_job: Job) -> dict[str, Any]:
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    await asyncio.sleep(3600)
    return {}


async def timer(_job: Job) -> dict[str, Any]:
    asyncio.get_running_loop().call_later(0.01, sys.exit, 3)
    await asyncio.sleep(3600)
    return {}


async def callback_of_another_thread(_job: Job) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(loop.call_soon_threadsafe, sys.exit, 3)
    await asyncio.sleep(3600)
    return {}


async def reader(_job: Job) -> dict[str, Any]:
    near, far = socket.socketpair()
    loop = asyncio.get_running_loop()
    near.setblocking(False)
    loop.add_reader(near, sys.exit, 3)
    try:
        far.send(b"x")
        await asyncio.sleep(3600)
    finally:
        loop.remove_reader(near)
        near.close()
        far.close()
    return {}


async def ctrl_c(_job: Job) -> dict[str, Any]:
    def interrupt() -> None:
        raise KeyboardInterrupt

    asyncio.get_running_loop().call_soon(interrupt)
    await asyncio.sleep(3600)
    return {}


def of_loop(name: str, *arguments: Any) -> Handler:
    async def call(_job: Job) -> dict[str, Any]:
        getattr(asyncio.get_running_loop(), name)(*arguments)
        return {}

    return call


async def set_signal(_job: Job) -> dict[str, Any]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return {}


async def run_a_loop(_job: Job) -> dict[str, Any]:
    coroutine = asyncio.sleep(0)
    try:
        asyncio.get_running_loop().run_until_complete(coroutine)
    finally:
        coroutine.close()
    return {}


MISUSES: list[tuple[Handler, str]] = [
    (gather, "SystemExit: 3"),
    (task_group, "SystemExit: 3"),
    (forgotten_task, "SystemExit: 3"),
    (task_of_a_task, "SystemExit: 3"),
    (callback, "SystemExit: 3"),
    (timer, "SystemExit: 3"),
    (callback_of_another_thread, "SystemExit: 3"),
    (reader, "SystemExit: 3"),
    (ctrl_c, "KeyboardInterrupt"),
    (of_loop("stop"), "ForbiddenToHandlers: loop.stop() is forbidden"),
    (of_loop("close"), "ForbiddenToHandlers: loop.close() "),
    (of_loop("set_debug", True), "ForbiddenToHandlers: loop.set_debug() "),
    (of_loop("set_exception_handler", None), "ForbiddenToHandlers: loop.set_exception_handler() "),
    (of_loop("set_task_factory", None), "ForbiddenToHandlers: loop.set_task_factory() "),
    (of_loop("set_default_executor", None), "ForbiddenToHandlers: loop.set_default_executor() "),
    (of_loop("shutdown_default_executor"), "ForbiddenToHandlers: loop.shutdown_default_executor() "),
    (of_loop("shutdown_asyncgens"), "ForbiddenToHandlers: loop.shutdown_asyncgens() "),
    (of_loop("add_signal_handler", signal.SIGTERM, print), "ForbiddenToHandlers: loop.add_signal_handler() "),
    (of_loop("remove_signal_handler", signal.SIGTERM), "ForbiddenToHandlers: loop.remove_signal_handler() "),
    (of_loop("run_forever"), "RuntimeError: "),
    (set_signal, "ValueError: signal only works in main thread"),
    (run_a_loop, "RuntimeError: "),
]


class Runs:
    """Runs any function as a job, in one executor."""

    def __init__(self) -> None:
        self.executor = Executor(threads=1, processes=1)

    def __call__(self, function: Callable[[Job], Any], job_id: str = "a") -> asyncio.Task[Outcome]:
        job = Job(id=job_id, type="x", attempt=1, payload={})
        return asyncio.create_task(self.executor.run(HandlerSpec("x", function, "loop"), job))


@pytest.fixture
async def run() -> AsyncIterator[Runs]:
    runs = Runs()
    yield runs
    await runs.executor.close()


class WaitingHandler:
    """A handler that waits until the test sets `go_on`. If it returns, its loop has run all the time."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun = threading.Event()
        self.was_cancelled = threading.Event()
        self.returned = threading.Event()

    async def handle(self, _job: Job) -> dict[str, Any]:
        self.begun.set()
        try:
            while not self.go_on.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise
        self.returned.set()
        return {"waited": True}


async def same_loop(_job: Job) -> dict[str, Any]:
    return {"loop": str(id(asyncio.get_running_loop())), "thread": threading.get_ident()}


@pytest.mark.parametrize(
    ("misuse", "message"), MISUSES, ids=[misuse.__qualname__ + text for misuse, text in MISUSES]
)
async def test_a_handler_that_misuses_the_loop_fails_only_its_own_job(
    run: Runs, misuse: Handler, message: str
) -> None:
    before = await run(same_loop)
    waiting = WaitingHandler()
    neighbour = run(waiting.handle, "neighbour")
    await until(waiting.begun.is_set)

    outcome = await asyncio.wait_for(run(misuse), DEADLINE)

    assert isinstance(outcome, Failed), outcome
    assert (outcome.reason, outcome.permanent) == (Reason.HANDLER_ERROR, False)
    # In some versions of Python a task group adds a text of its own.
    assert outcome.message.startswith(message)
    waiting.go_on.set()
    assert isinstance(await asyncio.wait_for(neighbour, DEADLINE), Succeeded)
    assert await run(same_loop) == before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


async def test_the_log_has_the_trace_of_a_task_that_nobody_awaits(run: Runs) -> None:
    with capture_logs() as logs:
        await run(forgotten_task)

    [failed] = [line for line in logs if line["event"] == "handler_failed"]
    assert "in leave" in failed["exception"]


async def test_a_task_that_outlives_its_job_and_exits_affects_nothing_else(run: Runs) -> None:
    going_on = threading.Event()
    tasks = []

    async def exits_later(_job: Job) -> dict[str, Any]:
        async def later() -> None:
            while not going_on.is_set():
                await asyncio.sleep(0.01)
            sys.exit(3)

        tasks.append(asyncio.create_task(later()))
        return {}

    assert isinstance(await run(exits_later), Succeeded)
    with capture_logs() as logs:
        going_on.set()
        await until(lambda: bool(logs))

    assert (logs[0]["event"], logs[0]["job_id"], logs[0]["problem"]) == (
        "exit_in_handler_loop",
        "a",
        "SystemExit",
    )
    assert isinstance(await run(same_loop), Succeeded)


async def test_a_plain_handler_whose_callback_exits_affects_no_other_job(run: Runs) -> None:
    def leave_later(_job: Job) -> dict[str, Any]:
        asyncio.get_running_loop().call_soon(sys.exit, 3)
        return {}

    await run(leave_later)
    assert isinstance(await run(same_loop), Succeeded)


async def test_a_handler_that_cancels_all_tasks_fails_their_jobs_but_no_later_job(run: Runs) -> None:
    waiting = WaitingHandler()
    neighbour = run(waiting.handle, "neighbour")
    await until(waiting.begun.is_set)

    async def cancel_all(_job: Job) -> dict[str, Any]:
        for task in asyncio.all_tasks():
            task.cancel()
        await asyncio.sleep(0)
        return {}

    assert await run(cancel_all) == Failed(Reason.HANDLER_ERROR, "CancelledError")
    assert await neighbour == Failed(Reason.HANDLER_ERROR, "CancelledError")
    assert isinstance(await run(same_loop), Succeeded)


async def test_a_stopped_loop_runs_on(run: Runs) -> None:
    async def stop(_job: Job) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SharedLoop)
        loop.stop_for_good()
        await asyncio.sleep(0.01)
        return {}

    assert isinstance(await asyncio.wait_for(run(stop), DEADLINE), Succeeded)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_fork_that_awaits_ends_at_its_await_and_runs_no_handler(run: Runs, tmp_path: Path) -> None:
    ran_on = tmp_path / "ran-on"
    waiting = WaitingHandler()
    neighbour = run(waiting.handle, "neighbour")
    await until(waiting.begun.is_set)

    async def fork(_job: Job) -> dict[str, Any]:
        pid = os.fork()
        await asyncio.sleep(0)
        if pid == 0:
            ran_on.touch()
            os._exit(0)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        return {"status": os.waitstatus_to_exitcode(status)}

    outcome = await run(fork)
    assert isinstance(outcome, Succeeded)
    assert dict(outcome.result) == {"status": 1}
    assert not ran_on.exists()
    assert not neighbour.done()
    assert isinstance(await run(same_loop), Succeeded)


async def test_handlers_can_use_asyncio(run: Runs) -> None:
    """Locks that all jobs share, threads, programs, and servers."""
    lock = asyncio.Lock()

    async def use_all(job: Job) -> dict[str, Any]:
        async with lock:
            thread = await asyncio.to_thread(lambda: threading.current_thread().name)
            program = await asyncio.create_subprocess_exec("echo", job.id, stdout=asyncio.subprocess.PIPE)
            said, _ = await program.communicate()
            server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            stream, writer = await asyncio.open_connection("127.0.0.1", port)
            await stream.read()
            writer.close()
            server.close()
        return {"thread": thread, "said": said.decode(), "status": program.returncode}

    outcomes = await asyncio.gather(*(run(use_all, str(number)) for number in range(3)))

    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, Succeeded), outcome
        assert (outcome.result["said"], outcome.result["status"]) == (f"{number}\n", 0)
        assert str(outcome.result["thread"]).startswith("job-")


async def test_a_handler_has_the_context_of_its_caller(run: Runs) -> None:
    async def context(_job: Job) -> dict[str, Any]:
        return {"number": NUMBER.get(), **structlog.contextvars.get_contextvars()}

    NUMBER.set(7)
    with structlog.contextvars.bound_contextvars(worker_id="w/1"):
        outcome = await run(context)

    assert isinstance(outcome, Succeeded)
    assert dict(outcome.result) == {"number": 7, "worker_id": "w/1", "job_id": "a", "type": "x", "attempt": 1}


async def test_a_handler_can_finish_its_clean_up_when_the_loop_ends() -> None:
    runs, waiting = Runs(), WaitingHandler()
    cleaned_up = threading.Event()

    async def clean_up(job: Job) -> dict[str, Any]:
        try:
            return await waiting.handle(job)
        finally:
            await asyncio.sleep(0.1)
            cleaned_up.set()

    running = runs(clean_up)
    await until(waiting.begun.is_set)
    runs.executor.handlers.give_up()

    assert await running == Interrupted()
    await until(cleaned_up.is_set)
    await runs.executor.close()


async def test_the_thread_ends_with_the_executor_and_cancels_leftover_tasks() -> None:
    runs = Runs()
    cancelled = threading.Event()

    async def leave_a_task(_job: Job) -> dict[str, Any]:
        async def forever() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                cancelled.set()

        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return {"done": task.done()}

    await runs(leave_a_task)
    thread = runs.executor.handlers._thread
    await runs.executor.close()

    assert cancelled.is_set()
    assert not thread.is_alive()
    assert await runs(same_loop) == Interrupted()


class Blocking:
    """A handler that blocks its loop until the test sets `go_on`."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.was_cancelled = threading.Event()

    async def handle(self, _job: Job) -> dict[str, Any]:
        self.begun.set()
        self.go_on.wait(DEADLINE)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise
        return {}


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_watch, "WARN_SECONDS", 0.1)
    monkeypatch.setattr(loop_watch, "LIMITS_TO_END", 1000)


@pytest.mark.usefixtures("soon")
async def test_a_handler_that_blocks_the_loop_fails_meanwhile_and_its_neighbours_go_on_later(
    run: Runs,
) -> None:
    waiting, blocking = WaitingHandler(), Blocking()
    neighbour = run(waiting.handle, "neighbour")
    await until(waiting.begun.is_set)
    watching = asyncio.create_task(run.executor.watch(0.5))

    with capture_logs() as logs:
        outcome = await asyncio.wait_for(run(blocking.handle, "blocker"), DEADLINE)

    assert isinstance(outcome, Failed)
    assert (outcome.reason, outcome.permanent) == (Reason.LOOP_BLOCKED, False)
    assert outcome.message == "the handler blocked the event loop and all other handlers for 0.5 s"
    lines = [line for line in logs if line["event"] == "handler_loop_blocked"]
    assert {line["job_id"] for line in lines} == {"blocker"}
    assert "self.go_on.wait(DEADLINE)" in lines[0]["stack"]
    assert not neighbour.done()
    waiting.go_on.set()
    blocking.go_on.set()
    assert isinstance(await asyncio.wait_for(neighbour, DEADLINE), Succeeded)
    await until(blocking.was_cancelled.is_set)
    assert not watching.done()
    watching.cancel()


@pytest.mark.usefixtures("soon")
async def test_a_task_that_blocks_the_loop_fails_the_handler_that_created_it(run: Runs) -> None:
    blocking = Blocking()

    async def block_in_a_task(job: Job) -> dict[str, Any]:
        return await asyncio.create_task(blocking.handle(job))

    watching = asyncio.create_task(run.executor.watch(0.5))
    outcome = await asyncio.wait_for(run(block_in_a_task), DEADLINE)
    blocking.go_on.set()

    assert isinstance(outcome, Failed)
    assert outcome.reason == Reason.LOOP_BLOCKED
    watching.cancel()


async def test_a_loop_that_stays_blocked_is_given_up_and_then_only_cancels_its_handlers(
    run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_watch, "LIMITS_TO_END", 2)
    waiting, blocking = WaitingHandler(), Blocking()
    neighbour = run(waiting.handle, "neighbour")
    await until(waiting.begun.is_set)
    blocked_by = run(blocking.handle, "blocker")

    with pytest.raises(LoopStuck):
        await asyncio.wait_for(run.executor.watch(0.2), DEADLINE)

    outcome = await blocked_by
    assert isinstance(outcome, Failed)
    assert outcome.reason == Reason.LOOP_BLOCKED
    assert await neighbour == Interrupted()
    assert await run(same_loop) == Interrupted()
    waiting.go_on.set()
    blocking.go_on.set()
    await until(waiting.was_cancelled.is_set)
    await until(blocking.was_cancelled.is_set)
    await until(lambda: not run.executor.handlers._thread.is_alive())
    assert not waiting.returned.is_set()


async def test_an_executor_can_be_closed_while_its_loop_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "STOP_SECONDS", 0.05)
    monkeypatch.setattr(handler_loop, "STOP_SECONDS", 0.05)
    runs, blocking = Runs(), Blocking()
    blocked = runs(blocking.handle)
    await until(blocking.begun.is_set)

    await asyncio.wait_for(runs.executor.close(), DEADLINE)

    assert await blocked == Interrupted()
    blocking.go_on.set()
