"""The systems that are measured. Each has its own servers, which are started anew and stopped."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo import DESCENDING, MongoClient

from api_server.adapters.mongo.indexes import BY_DUE_TIME
from bench.load.read_back import read_back
from bench.servers import Servers, servers, wait_until
from bench.work import text
from contract_runtime.limits import JOB_SERVICE
from contract_runtime.rest import twin_of
from local_stack import kafka, mongodb, services
from local_stack.part import Part
from local_stack.settings import HOST, StackSettings
from service_runtime.health_probe import is_serving

READY = 30.0
UNFINISHED = {"status": {"$in": ["queued", "processing"]}}
DRAIN_POLL = 0.02
SOON = timedelta(hours=12)
"""Jobs that are scheduled later are no work that is left."""


class JobSystem:
    """Our system or the plain version. Both serve the contract and store jobs in `jobs.jobs`.

    The database is read for two things only: whether work is left, which costs one index look-up, and the ids
    of jobs.
    """

    def __init__(
        self, running: Servers, settings: StackSettings, unfinished: dict[str, Any], *, batches: bool
    ) -> None:
        self.servers = running
        self.grpc_addresses = [
            f"{HOST}:{port}"
            for number in range(settings.api_servers)
            for port in settings.api_server_ports(number + 1)
        ]
        self.grpc_address = self.grpc_addresses[0]
        self.rest_address = f"{HOST}:{settings.jobs_port}"
        self.database: Any = MongoClient(mongodb.uri(settings), uuidRepresentation="standard").jobs
        self._unfinished = unfinished
        self._batches = batches

    def is_drained(self) -> bool:
        self.servers.check_all_run()
        # Reads the index from the end whose jobs are done last. At the other end it is full of removed
        # entries.
        last_first = [(field, DESCENDING) for field, _ in BY_DUE_TIME] if self._batches else None
        return self.database.jobs.find_one(self._unfinished, {"_id": 1}, sort=last_first) is None

    def wait_drained(self, seconds: float) -> None:
        """Raises StackError."""
        wait_until(self.is_drained, "all jobs are done", seconds, DRAIN_POLL)

    def ids_of(self, first: int, block: int) -> list[str]:
        """The ids of the stored jobs whose numbers are in the block from `first` on."""
        inputs = {"$gte": text(first), "$lt": text(first + block)}
        return [
            str(document["_id"])
            for document in self.database.jobs.find({"payload.input": inputs}, {"_id": 1})
        ]

    def read_back(self, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """The text and the hash of each job."""
        return read_back(self.grpc_address, ids, in_batches=self._batches)


def unchanged(part: Part) -> Part:
    return part


@contextmanager
def ours(
    directory: Path, api_servers: int, workers: int, change: Callable[[Part], Part] = unchanged
) -> Iterator[JobSystem]:
    """Our system with its default settings. `change` may start the services in another way."""
    settings = StackSettings.with_free_ports(directory, api_servers, workers)
    with servers(directory) as running:
        running.start(mongodb.mongodb(settings), kafka.kafka(settings))
        running.start(*(change(services.api_server(settings, number + 1)) for number in range(api_servers)))
        running.start(
            *(change(services.worker(settings, number + 1)) for number in range(workers)),
            services.gateway(settings),
        )
        soon = {"$exists": True, "$lt": datetime.now(UTC) + SOON}
        yield JobSystem(running, settings, {**UNFINISHED, "due_time": soon}, batches=True)


@contextmanager
def plain(directory: Path) -> Iterator[JobSystem]:
    """The version without batching, behind the same gateway, which parses JSON for it."""
    settings = StackSettings.with_free_ports(directory)
    server_address, ready = f"{HOST}:{settings.api_server_port}", directory / "plain-worker-is-ready"
    bootstrap, python = kafka.bootstrap_servers(settings), (sys.executable, "-m")
    server = Part(
        name="api_server",
        number=1,
        command=(
            *python,
            "bench.plain.server",
            str(settings.api_server_port),
            mongodb.uri(settings),
            bootstrap,
        ),
        ports={"port": settings.api_server_port},
        is_ready=lambda: is_serving(server_address),
        environment=services.PYTHON_PATH,
    )
    worker = Part(
        name="worker",
        number=1,
        command=(*python, "bench.plain.worker", server_address, bootstrap, str(ready)),
        ports={},
        is_ready=ready.exists,
        environment=services.PYTHON_PATH,
    )
    with servers(directory) as running:
        running.start(mongodb.mongodb(settings), kafka.kafka(settings))
        running.start(server)
        running.start(worker, _plain_gateway(settings))
        yield JobSystem(running, settings, UNFINISHED, batches=False)


def _plain_gateway(settings: StackSettings) -> Part:
    """Our gateway, but it translates REST into calls of the service itself and not of its twin.

    So Envoy parses the JSON, as in the usual configuration of its transcoder. Servers need no code for REST.
    """
    gateway = services.gateway(settings)
    config, name = settings.data_dir / "envoy.yaml", JOB_SERVICE.full_name

    def prepare() -> None:
        gateway.prepare()
        config.write_text(config.read_text().replace(twin_of(name), name))

    return replace(gateway, prepare=prepare)


@contextmanager
def storage_and_dispatch(directory: Path) -> Iterator[tuple[Servers, StackSettings]]:
    """Only MongoDB and Kafka."""
    settings = StackSettings.with_free_ports(directory)
    with servers(directory) as running:
        running.start(mongodb.mongodb(settings), kafka.kafka(settings))
        yield running, settings
