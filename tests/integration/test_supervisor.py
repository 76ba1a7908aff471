"""The supervisor with real processes of a service that starts quickly."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_stack.ports import FREE_PORTS
from local_stack.settings import HOST
from service_runtime.supervisor import Supervisor
from tests.forked_code import CodeServer, ForkedCode
from tests.waiting import until, wait_for

RUN = "import runpy; runpy.run_module('tests.supervised_service', run_name='__main__', alter_sys=True)"
"""Only the parent is forked. It starts its processes as any parent does."""


@dataclass
class Service:
    """tests/supervised_service.py on `count` ports from `port` on."""

    parent: ForkedCode
    port: int
    count: int
    obstacle: Path
    log: Path

    def pid(self, number: int) -> int | None:
        """The process that serves on the port of this number; None if there is none."""
        try:
            with socket.create_connection((HOST, self.port + number - 1), timeout=1) as connection:
                return int(connection.recv(100) or 0) or None
        except OSError:
            return None

    def pids(self) -> list[int]:
        """The ids of all processes, once all of them serve."""
        wait_for(lambda: all(self.pid(number) for number in self.numbers), "all serve")
        return [pid for number in self.numbers if (pid := self.pid(number))]

    @property
    def numbers(self) -> range:
        return range(1, self.count + 1)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The log lines of an event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@pytest.fixture(scope="module")
def server() -> Iterator[CodeServer]:
    with CodeServer("tests.supervised_service") as server:
        yield server


@pytest.fixture
def start(server: CodeServer, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    obstacle = tmp_path / "obstacle"

    def start(count: int, port: int | None = None, log: Path = tmp_path / "log") -> Service:
        port = port or FREE_PORTS.take(count)
        environment = {
            **os.environ,
            "TINY_PORT": str(port),
            "TINY_PROCESSES": str(count),
            "TINY_OBSTACLE": str(obstacle),
        }
        with log.open("wb") as output:
            parent = server.run(RUN, stderr=output.fileno(), environment=environment)
        return Service(cleanup.enter_context(parent), port, count, obstacle, log)

    with ExitStack() as cleanup:
        yield start


def have_ended(pids: list[int]) -> bool:
    return not any(
        psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids
    )


def test_a_single_process_has_no_parent(start: Callable[..., Service]) -> None:
    service = start(1)
    assert service.pids() == [service.parent.pid]
    assert psutil.Process(service.parent.pid).children() == []
    service.parent.terminate()
    assert service.parent.wait() == 0
    [line] = service.logged("ended_in_order")
    assert "process" not in line


@pytest.mark.parametrize("to_all", [False, True], ids=["SIGTERM", "Ctrl-C"])
def test_all_end_in_order_with_their_parent(start: Callable[..., Service], to_all: bool) -> None:
    service = start(2)
    pids = service.pids()
    assert len({service.parent.pid, *pids}) == 3
    if to_all:
        os.killpg(service.parent.pid, signal.SIGINT)
    else:
        service.parent.terminate()
    assert service.parent.wait() == 0
    assert have_ended(pids)
    assert sorted(line["process"] for line in service.logged("ended_in_order")) == [1, 2]
    assert {line["ended"] for line in service.logged("process_ended")} == {"exit status 0"}


def test_processes_that_are_still_starting_end_too(start: Callable[..., Service]) -> None:
    service = start(2)
    wait_for(lambda: len(service.logged("process_started")) == 2, "both were started")
    service.parent.terminate()
    assert service.parent.wait() == 0
    assert have_ended([line["pid"] for line in service.logged("process_started")])


@pytest.mark.slow
def test_a_full_disk_stops_neither_the_parent_nor_its_processes(start: Callable[..., Service]) -> None:
    service = start(2, log=Path("/dev/full"))
    first, other = service.pids()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: service.pid(1) not in (None, first), "it is back")
    assert service.pid(2) == other
    service.parent.terminate()
    assert service.parent.wait() == 0


def test_a_killed_process_is_restarted_and_the_others_keep_serving(start: Callable[..., Service]) -> None:
    service = start(3)
    first, second, third = service.pids()
    os.kill(second, signal.SIGKILL)
    wait_for(lambda: service.pid(2) not in (second, None), "it is back")
    assert (service.pid(1), service.pid(3)) == (first, third)
    [line] = service.logged("process_ended")
    assert (line["process"], line["pid"], line["ended"]) == (2, second, "signal 9, Killed")


def test_no_process_outlives_a_killed_parent(start: Callable[..., Service]) -> None:
    service = start(2)
    pids = service.pids()
    service.parent.kill()
    wait_for(lambda: have_ended(pids), "all have ended")
    assert sorted(line["process"] for line in service.logged("supervisor_gone")) == [1, 2]


def test_a_port_that_is_in_use_at_the_first_start_ends_all_with_status_two(
    start: Callable[..., Service],
) -> None:
    with socket.socket() as taken:
        first = FREE_PORTS.take(2)
        taken.bind((HOST, first + 1))
        taken.listen()
        service = start(2, first)
        assert service.parent.wait() == 2
    assert have_ended([line["pid"] for line in service.logged("process_started")])
    assert "TINY_PORT: " in service.log.read_text()


@pytest.mark.slow
def test_wrong_settings_at_a_later_start_end_only_that_process(
    start: Callable[..., Service],
) -> None:
    service = start(2)
    first, second = service.pids()
    service.obstacle.touch()
    os.kill(second, signal.SIGKILL)
    wait_for(
        lambda: "exit status 2" in [line["ended"] for line in service.logged("process_ended")], "it was met"
    )
    assert service.pid(1) == first
    service.obstacle.unlink()
    wait_for(lambda: service.pid(2), "it is back")


async def test_a_process_that_keeps_dying_is_restarted_after_growing_delays() -> None:
    stop = asyncio.Event()
    supervisor = Supervisor([sys.executable, "-c", "raise SystemExit(1)"], 1)
    starts: list[float] = []
    run_one = supervisor._run_one

    async def counted(number: int, far_end: int, stop: asyncio.Event) -> int | None:
        starts.append(time.monotonic())
        return await run_one(number, far_end, stop)

    supervisor._run_one = counted  # type: ignore[method-assign]
    running = asyncio.create_task(supervisor.run(stop))
    await until(lambda: len(starts) >= 4)
    stop.set()
    # 0.1, 0.2 and 0.4 s.
    assert starts[3] - starts[0] >= 0.7
    assert await running in (0, 1)
