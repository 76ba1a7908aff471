"""No port is given out twice, not even by two processes."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from local_stack.ports import BLOCK, LOOPBACK, FreePorts
from local_stack.settings import ROOT

OTHER = """
from local_stack.ports import FREE_PORTS
print(FREE_PORTS.take(2), flush=True)
input()
"""


@pytest.fixture
def free() -> Iterator[FreePorts]:
    with closing(FreePorts()) as free:
        yield free


def test_each_port_is_given_out_once(free: FreePorts) -> None:
    taken = [free.take(3) for _ in range(4)]
    assert len({first + index for first in taken for index in range(3)}) == 12


def test_another_process_has_a_block_of_its_own(free: FreePorts) -> None:
    mine = free.take()
    with subprocess.Popen(
        [sys.executable, "-c", OTHER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        other.communicate("\n")
    assert theirs // BLOCK != mine // BLOCK


def test_a_port_that_a_server_uses_is_left_out(free: FreePorts) -> None:
    first = free.take()
    with socket.socket() as server:
        server.bind((LOOPBACK, first + 2))
        server.listen()
        assert free.take(2) == first + 3


def test_more_ports_than_a_block_has_are_an_error(free: FreePorts) -> None:
    with pytest.raises(OSError, match=f"no {BLOCK} free ports in a row"):
        free.take(BLOCK)
