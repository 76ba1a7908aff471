"""One round: each system is started anew and measured once, one after the other."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from bench import systems, work
from bench.batch_size import profiled
from bench.floor import measure_floor
from bench.load.client_load import create_by_client
from bench.load.grpc_load import BATCH_CREATE, create_in_batches, create_one_by_one, has_method
from bench.load.rest_load import create_over_rest
from bench.load.stub_load import Run, create_by_stubs, grpc_latency, polled, waited
from bench.load.submitted import Submitted
from bench.measure import measure, measure_row
from bench.peers import systems as peers
from bench.peers.peer import Peer
from bench.results import Latency, Round, Sample
from bench.servers import data_directory
from bench.settings import BenchSettings
from bench.systems import JobSystem
from bench.targets import (
    CELERY,
    DRAMATIQ,
    FLOOR,
    OURS_BATCH,
    OURS_CLIENT,
    OURS_GRPC,
    OURS_REST,
    OURS_STUBS,
    OURS_WAIT,
    PLAIN,
    TASKIQ,
)
from local_stack import kafka, mongodb

DRAIN_SECONDS = 900.0
Submit = Callable[[int], Submitted]
StartPeer = Callable[[Path], AbstractContextManager[Peer]]


class Rounds:
    """`show` gets a line of text for each measurement."""

    def __init__(self, settings: BenchSettings, show: Callable[[str], None]) -> None:
        self._settings = settings
        self._show = show
        self._numbers = work.Numbers()

    def one(self) -> Round:
        samples: dict[str, Sample] = {}
        latencies: dict[str, Latency] = {}
        batch = self._ours(samples, latencies)
        for name, jobs, start in self._peers():
            self._peer(name, jobs, start, samples, latencies)
        self._plain(samples, latencies)
        self._floor(samples, batch)
        return Round(samples, latencies, batch)

    def _ours(self, samples: dict[str, Sample], latencies: dict[str, Latency]) -> int:
        """Measure our rows. Returns the size of the median job's batch in the BatchCreate row."""
        settings = self._settings
        batch = settings.floor_batch
        with (
            data_directory(settings.output) as directory,
            systems.ours(directory, settings.api_servers, settings.workers) as system,
        ):
            self._warm_up(system)
            for name, submit in self._creates_one_by_one(system).items():
                samples[name] = self._row(name, system, submit)
            if has_method(BATCH_CREATE):
                submit = self._in_batches(system)
                samples[OURS_BATCH] = self._row(OURS_BATCH, system, submit)
                with profiled(system.database) as sizes:
                    submit(self._numbers.take())
                    system.wait_drained(DRAIN_SECONDS)
                batch = sizes.median
                self._show(f"  the median job was written in a batch of {batch}")
            else:
                self._show(f"  {OURS_BATCH}: the contract has no BatchCreate")
            samples[OURS_REST] = self._row(OURS_REST, system, self._over_rest(system, settings.rest_jobs))
            for name, run in {OURS_WAIT: waited, OURS_GRPC: polled}.items():
                latencies[name] = self._latency(name, system, run)
        return batch

    def _plain(self, samples: dict[str, Sample], latencies: dict[str, Latency]) -> None:
        settings = self._settings
        with data_directory(settings.output) as directory, systems.plain(directory) as system:
            self._warm_up(system)
            samples[PLAIN] = self._row(PLAIN, system, self._over_rest(system, settings.plain_jobs))
            latencies[PLAIN] = self._latency(PLAIN, system, polled)

    def _peers(self) -> Iterator[tuple[str, int, StartPeer]]:
        """The name of each peer, its number of jobs, and how it is started."""
        settings = self._settings
        yield CELERY, settings.celery_jobs, peers.celery
        yield TASKIQ, settings.taskiq_jobs, partial(peers.taskiq, callers=settings.in_flight)
        yield DRAMATIQ, settings.dramatiq_jobs, peers.dramatiq

    def _peer(
        self,
        name: str,
        jobs: int,
        start: StartPeer,
        samples: dict[str, Sample],
        latencies: dict[str, Latency],
    ) -> None:
        settings = self._settings
        with data_directory(settings.output) as directory, start(directory) as peer:
            peer.load.submit(self._numbers.take(), settings.warm_up_jobs)
            peer.wait_stored(settings.warm_up_jobs, DRAIN_SECONDS)
            first, stored = self._numbers.take(), peer.load.stored()
            samples[name] = measure(
                peer.servers.usage(),
                lambda: peer.load.submit(first, jobs),
                lambda: peer.wait_stored(stored + jobs, DRAIN_SECONDS),
            )
            work.check(peer.load.read_back(), first, jobs)
            self._show_rate(name, samples[name])
            latencies[name] = peer.load.latency(
                self._numbers.take(), settings.latency_jobs, settings.latency_rate
            )
            self._show_latency(name, latencies[name])

    def _floor(self, samples: dict[str, Sample], batch: int) -> None:
        settings = self._settings
        with (
            data_directory(settings.output) as directory,
            systems.storage_and_dispatch(directory) as (running, stack),
        ):
            addresses = mongodb.uri(stack), kafka.bootstrap_servers(stack)
            samples[FLOOR] = measure_floor(running.usage(), *addresses, settings.batch_jobs, batch)
        self._show_rate(FLOOR, samples[FLOOR])

    def _row(self, name: str, system: JobSystem, submit: Submit) -> Sample:
        sample = measure_row(system, self._numbers.take(), submit, DRAIN_SECONDS)
        self._show_rate(name, sample)
        return sample

    def _warm_up(self, system: JobSystem) -> None:
        self._one_by_one(system, self._settings.warm_up_jobs)(self._numbers.take())
        system.wait_drained(DRAIN_SECONDS)

    def _creates_one_by_one(self, system: JobSystem) -> dict[str, Submit]:
        settings, addresses, callers = self._settings, system.grpc_addresses, self._settings.in_flight
        return {
            OURS_GRPC: self._one_by_one(system, settings.grpc_jobs),
            OURS_STUBS: lambda first: create_by_stubs(addresses, first, settings.stub_jobs, callers),
            OURS_CLIENT: lambda first: create_by_client(addresses, first, settings.client_jobs, callers),
        }

    def _one_by_one(self, system: JobSystem, jobs: int) -> Submit:
        return lambda first: create_one_by_one(system.grpc_addresses, first, jobs, self._settings.in_flight)

    def _in_batches(self, system: JobSystem) -> Submit:
        settings = self._settings
        return lambda first: create_in_batches(
            system.grpc_addresses, first, settings.batch_jobs, settings.batch_size, settings.batches_in_flight
        )

    def _over_rest(self, system: JobSystem, jobs: int) -> Submit:
        return lambda first: create_over_rest(system.rest_address, first, jobs, self._settings.in_flight)

    def _latency(self, name: str, system: JobSystem, run: Run) -> Latency:
        settings = self._settings
        found = grpc_latency(
            system.grpc_address, run, self._numbers.take(), settings.latency_jobs, settings.latency_rate
        )
        self._show_latency(name, found)
        return found

    def _show_rate(self, name: str, sample: Sample) -> None:
        self._show(
            f"  {name:<22} {sample.rate:8,.0f} jobs/s, submitted at {sample.submit_rate:,.0f}/s,"
            f" {sample.cpu_per_1000:.2f} CPU s per 1,000 jobs,"
            f" load generator {sample.load_per_1000 * 1000:.0f} µs per job"
        )

    def _show_latency(self, name: str, found: Latency) -> None:
        self._show(f"  {name:<22} p50 {found.p50:.1f} ms, p95 {found.p95:.1f} ms, p99 {found.p99:.1f} ms")
