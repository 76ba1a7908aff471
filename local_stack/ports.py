"""Which ports of this machine are free, and ports for stacks that run beside others."""

import random
import socket

LOOPBACK = "127.0.0.1"
FIRST, END = 10_000, 32_000
"""Below the ports that the system gives to outgoing connections."""
BLOCK = 1000


def is_free(port: int) -> bool:
    """Whether a server could listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class FreePorts:
    """Gives out free ports, each port once.

    The ports come from blocks that no other process uses. This process keeps the first port of each of its
    blocks bound until `close`, or until it ends. So tests in several processes never start two servers on one
    port.
    """

    def __init__(self) -> None:
        self._guards: list[socket.socket] = []
        self._ports = range(0)

    def take(self, count: int = 1) -> int:
        """The first of `count` free ports in a row. Raises OSError if no block has that many."""
        while True:
            if len(self._ports) < count:
                self._ports = self._claim_block(count)
            ports, self._ports = self._ports[:count], self._ports[count:]
            if all(is_free(port) for port in ports):
                return ports[0]

    def close(self) -> None:
        """Release the blocks to other processes."""
        for guard in self._guards:
            guard.close()

    def _claim_block(self, count: int) -> range:
        """The ports of a block after its guard."""
        starts = list(range(FIRST, END, BLOCK)) if count < BLOCK else []
        random.shuffle(starts)
        for start in starts:
            if guard := _bound(start):
                self._guards.append(guard)
                return range(start + 1, start + BLOCK)
        raise OSError(f"there are no {count} free ports in a row from {FIRST} to {END}")


FREE_PORTS = FreePorts()
"""The free ports of this process."""


def _bound(port: int) -> socket.socket | None:
    """A socket that has the port; None if it is taken.

    It does not set SO_REUSEADDR: if it did, others could bind the same port while nobody listens on it.
    """
    guard = socket.socket()
    try:
        guard.bind((LOOPBACK, port))
    except OSError:
        guard.close()
        return None
    return guard
