"""JobClient, and that it has the methods of AsyncJobClient."""

import asyncio
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from job_client import (
    AsyncJobClient,
    AsyncJobHandle,
    ClientClosed,
    Interrupted,
    JobClient,
    JobFailed,
    JobHandle,
    NewJob,
    Outcome,
    Status,
    Unavailable,
    handles,
    sync_handle,
)
from job_client.background import BACKGROUND
from tests.unit.job_client.fake_system import FakeSystem, running

RENAMED = {
    "handles": "sync_handle",
    "AsyncJobHandle": "JobHandle",
    "AsyncGenerator[job_client.job.Job, None]": "Iterator[job_client.job.Job]",
    "AsyncGenerator[job_client.reports.LogEntry, None]": "Iterator[job_client.reports.LogEntry]",
    "AsyncGenerator[job_client.reports.Operation, None]": "Iterator[job_client.reports.Operation]",
    "AsyncGenerator[job_client.create_many.Outcome, None]": "Iterator[job_client.create_many.Outcome]",
}
"""What is written in signatures of AsyncJobClient, and in those of JobClient."""
DIFFERENT = {"submit_many"}
"""JobClient takes no async iterable."""


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest.fixture
def address(system: FakeSystem) -> Iterator[str]:
    """A server in an event loop of its own, because JobClient blocks its caller."""
    ready: dict[str, Any] = {}
    started = threading.Event()

    async def serve() -> None:
        ready["end"], ready["loop"] = asyncio.Event(), asyncio.get_running_loop()
        async with running(system) as ready["address"]:
            started.set()
            await ready["end"].wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10)
    yield ready["address"]
    ready["loop"].call_soon_threadsafe(ready["end"].set)
    thread.join(10)


# --- The same methods ---


def text_of(method: Any) -> str:
    """The signature, with the name JobRef in place of what it stands for."""
    text = str(inspect.signature(method)).replace("'", "").replace("typing.", "")
    for references in (sync_handle.JobRef | None, handles.JobRef | None, sync_handle.JobRef, handles.JobRef):
        text = text.replace(str(references).replace("typing.", ""), "JobRef")
    return text


def public_methods(kind: type[Any]) -> dict[str, Any]:
    return {
        name: method
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize(("sync", "model"), [(JobClient, AsyncJobClient), (JobHandle, AsyncJobHandle)])
def test_both_clients_have_the_same_methods(sync: type[Any], model: type[Any]) -> None:
    ours, theirs = public_methods(sync), public_methods(model)
    assert ours.keys() == theirs.keys()
    for name, method in theirs.items():
        assert [*inspect.signature(ours[name]).parameters] == [*inspect.signature(method).parameters], name
        for own, other in zip(
            inspect.signature(ours[name]).parameters.values(),
            inspect.signature(method).parameters.values(),
            strict=True,
        ):
            assert (own.kind, own.default) == (other.kind, other.default), (name, own)
        assert ours[name].__doc__ == method.__doc__, name
        assert ours[name].__doc__, name


@pytest.mark.parametrize(("sync", "model"), [(JobClient, AsyncJobClient), (JobHandle, AsyncJobHandle)])
def test_both_clients_have_the_same_types(sync: type[Any], model: type[Any]) -> None:
    theirs = public_methods(model)
    for name, method in public_methods(sync).items():
        expected = text_of(theirs[name])
        for old, new in RENAMED.items():
            expected = expected.replace(old, new)
        assert name in DIFFERENT or text_of(method) == expected


def test_both_clients_are_made_alike() -> None:
    for name in ("__init__", "from_env"):
        ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (JobClient, AsyncJobClient))
        assert ours == theirs


# --- Calls ---


def test_it_needs_no_block_and_opens_itself(address: str) -> None:
    client = JobClient(address)
    assert client.run("compute", {"a": 1}) == {"a": 1}
    client.close()
    with pytest.raises(ClientClosed, match="the client is closed"):
        client.run("compute", {})
    with client:
        handle = client.submit("compute", {"b": 2})
        assert isinstance(handle, JobHandle)
        assert [job.status for job in handle.watch()] == [Status.QUEUED, Status.COMPLETED]
        assert handle.result() == {"b": 2}
        assert [entry.number for entry in handle.follow_log()] == [1, 2, 3]
        assert [entry.number for entry in client.follow_log(handle, after_number=1)] == [2, 3]
        assert [state.changed for state in client.watch_operation(handle.id)] == [1, 3, 9]
        assert client.get(handle) == handle.get() == client.wait(handle)
        assert [job.id for job in client.list()][-1] == handle.id
        with pytest.raises(JobFailed):
            client.run("broken", {})


def test_many_jobs_are_read_in_the_caller_s_thread(address: str) -> None:
    threads = set()

    def jobs() -> Iterator[NewJob]:
        for number in range(1200):
            threads.add(threading.get_ident())
            yield NewJob("compute", {"n": number})
        raise LookupError("no more")

    with JobClient(address) as client:
        outcomes: list[Outcome] = []
        with pytest.raises(LookupError):
            outcomes.extend(client.submit_many(jobs()))
        assert [outcome.result().id for outcome in outcomes] == [outcome.id for outcome in outcomes]
        assert len(outcomes) == 1200
        stored = list(client.submit_many(NewJob("compute", {"n": number}) for number in range(600)))
    assert [outcome.request.payload["n"] for outcome in stored] == list(range(600))
    assert threads == {threading.get_ident()}


def test_threads_share_a_client(address: str) -> None:
    with JobClient(address) as client:
        results: list[Any] = []
        threads = [
            threading.Thread(target=lambda n=n: results.append(client.run("compute", {"n": n})["n"]))
            for n in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert sorted(results) == list(range(10))


def test_the_thread_ends_with_the_last_client(address: str) -> None:
    with JobClient(address) as first, JobClient(address) as second:
        first.run("compute", {})
        second.run("compute", {})
    assert "job_client" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(RuntimeError):
        BACKGROUND.run(asyncio.sleep(0))


def test_an_address_where_nobody_listens_is_told_soon() -> None:
    begin = time.monotonic()
    with (
        pytest.raises(Unavailable, match=r"no server answers at 127\.0\.0\.1:1"),
        JobClient("127.0.0.1:1") as client,
    ):
        client.run("compute", {})
    assert time.monotonic() - begin < 3


def test_ctrl_c_ends_a_call_at_once() -> None:
    """No server is needed: the client still waits for one."""
    # A shell that starts the tests in the background lets them ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with JobClient("127.0.0.1:1", connect_timeout=60) as client:
        begin = time.monotonic()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(Interrupted, match="goes on") as caught:
            client.run("compute", {})
    signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begin < 3
    assert isinstance(caught.value, KeyboardInterrupt)


PROGRAM = """
import os, sys
from job_client import JobClient, JobClientError

client = JobClient(sys.argv[1])
client.run("compute", {})
if not os.fork():
    for use in (lambda: client.run("compute", {}), JobClient(sys.argv[1]).open):
        try:
            use()
        except JobClientError as error:
            print("child:", error.reason, flush=True)
    client.close()
    os._exit(0)
os.wait()
print("parent:", client.run("compute", {"a": 1}))
"""


async def test_a_fork_after_use_is_told_and_an_open_client_delays_no_exit(system: FakeSystem) -> None:
    async with running(system) as address:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, address, stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
    assert process.returncode == 0
    assert out.decode().splitlines() == ["child: CLIENT_FORKED", "child: CLIENT_FORKED", "parent: {'a': 1}"]
