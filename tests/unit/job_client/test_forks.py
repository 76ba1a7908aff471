"""Clients and real forks. Each test runs in its own process, because gRPC may end it or let it hang."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.forked_code import CodeServer
from tests.unit.job_client.test_calls import Counting
from tests.unit.worker_service.job_service_fake import serving

START = """
import asyncio, multiprocessing, os, sys
import grpc
from job_client import AsyncJobClient, JobClientError, NewJob

ADDRESS = sys.argv[1]
JOB_ID = "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"

async def create():
    async with AsyncJobClient(ADDRESS, timeout=60) as client:
        await client.submit("compute", {})
    return "created"

def answer(call):
    try:
        return asyncio.run(call)
    except JobClientError as error:
        return f"{error.code.name} {error.reason} {error.message}"

def child(call):
    '''Run the call in a forked process and wait for it.'''
    pid = os.fork()
    if not pid:
        asyncio.events._set_running_loop(None)
        print("child:", answer(call), flush=True)
        sys.exit(7)
    call.close()
    print("status:", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
OPENS_ANOTHER = """
async def main():
    async with AsyncJobClient(ADDRESS, timeout=60) as client:
        await client.submit("compute", {})
        try:
            child(create())
        except SystemExit:
            os._exit(7)
        await client.submit("compute", {})
asyncio.run(main())
print("parent goes on:", asyncio.run(create()))
"""
USES_THE_INHERITED_ONE = """
async def collect(client):
    return [each async for each in client.submit_many([NewJob("compute")])]

async def main():
    async with AsyncJobClient(ADDRESS, timeout=60) as client:
        await client.submit("compute", {})
        gets = client.get(JOB_ID), client.wait(JOB_ID), client.get_many([JOB_ID])
        for call in (*gets, client.submit("a", {}), collect(client)):
            try:
                child(call)
            except SystemExit:
                os._exit(7)
        await client.submit("compute", {})
asyncio.run(main())
print("parent goes on:", asyncio.run(create()))
"""
LEAVES_THE_INHERITED_ONE = """
async def main():
    async with AsyncJobClient(ADDRESS, timeout=60) as client:
        await client.submit("compute", {})
        pid = os.fork()
        if pid:
            print("status:", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            await client.submit("compute", {})
    if not pid:
        print("child: left", flush=True)
        os._exit(7)
asyncio.run(main())
print("parent goes on:", asyncio.run(create()))
"""
USES_THE_INHERITED_ONE_IN_THE_SAME_LOOP = """
async def main():
    async with AsyncJobClient(ADDRESS, timeout=60) as client:
        await client.submit("compute", {})
        pid = os.fork()
        if not pid:
            try:
                await client.submit("compute", {})
            except JobClientError as error:
                print("child:", error.reason, error.message, flush=True)
            os._exit(7)
        print("status:", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
asyncio.run(main())
print("parent goes on:", asyncio.run(create()))
"""
BESIDE_A_CHANNEL_OF_ITS_OWN = """
async def main():
    async with grpc.aio.insecure_channel(ADDRESS) as channel:
        await channel.channel_ready()  # a fork in the middle of a look-up of the name can end the child
        try:
            child(create())
        except SystemExit:
            os._exit(7)
asyncio.run(main())
print("parent goes on:", asyncio.run(create()))
"""
AFTER_THE_CLIENT_WAS_CLOSED = """
import threading, time
from job_client.forks import POLLER
print(asyncio.run(create()))
while any(POLLER in thread.name for thread in threading.enumerate()):
    time.sleep(0.01)  # gRPC ends its thread a moment after the client was closed
child(create())
print("parent goes on:", asyncio.run(create()))
"""
BEFORE_A_CLIENT_WAS_OPENED = """
child(create())
print("parent goes on:", asyncio.run(create()))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[CodeServer]:
    with CodeServer("grpc", "job_client", GRPC_ENABLE_FORK_SUPPORT="") as server:
        yield server


@pytest.fixture(scope="module")
def supporting_server() -> Iterator[CodeServer]:
    """With gRPC's own support for forks. gRPC reads the variable when it is imported, and later."""
    with CodeServer("grpc", "job_client", GRPC_ENABLE_FORK_SUPPORT="true") as server:
        yield server


async def run(server: CodeServer, code: str) -> str:
    """The output of a program, which gets the address of a server that accepts every job."""
    async with serving(Counting().calls) as address:
        with server.run(START + code, address) as program:
            async with asyncio.timeout(100):
                out, _ = await asyncio.to_thread(program.communicate)
    assert program.returncode == 0
    return out


REFUSED = "child: FAILED_PRECONDITION CLIENT_FORKED this process was forked from process "


@pytest.mark.parametrize("code", [OPENS_ANOTHER, BESIDE_A_CHANNEL_OF_ITS_OWN], ids=["client", "channel"])
async def test_no_client_is_opened_in_a_child_forked_while_grpc_was_in_use(
    server: CodeServer, supporting_server: CodeServer, code: str
) -> None:
    for each in (server, supporting_server):
        child, status, parent = (await run(each, code)).splitlines()
        assert child.startswith(REFUSED)
        assert "open a client in each process after the fork and none before" in child
        assert status == "status: 7"
        assert parent == "parent goes on: created"


async def test_a_client_is_not_used_in_a_child_forked_while_it_was_open(server: CodeServer) -> None:
    *children, parent = (await run(server, USES_THE_INHERITED_ONE)).splitlines()
    assert len(children) == 10
    for child in children[::2]:
        assert child.startswith("child: FAILED_PRECONDITION CLIENT_FORKED this client was opened in process ")
    assert set(children[1::2]) == {"status: 7"}
    assert parent == "parent goes on: created"


async def test_a_client_is_not_used_in_the_event_loop_that_was_forked(server: CodeServer) -> None:
    child, status, parent = (await run(server, USES_THE_INHERITED_ONE_IN_THE_SAME_LOOP)).splitlines()
    assert child.startswith("child: CLIENT_FORKED this client was opened in process ")
    assert (status, parent) == ("status: 7", "parent goes on: created")


async def test_a_child_can_leave_the_block_of_an_inherited_client(server: CodeServer) -> None:
    out = await run(server, LEAVES_THE_INHERITED_ONE)
    assert out.splitlines() == ["child: left", "status: 7", "parent goes on: created"]


@pytest.mark.parametrize(
    "code", [AFTER_THE_CLIENT_WAS_CLOSED, BEFORE_A_CLIENT_WAS_OPENED], ids=["after", "before"]
)
async def test_a_child_forked_while_no_client_is_open_can_open_one(server: CodeServer, code: str) -> None:
    out = await run(server, code)
    assert out.splitlines()[-3:] == ["child: created", "status: 7", "parent goes on: created"]
