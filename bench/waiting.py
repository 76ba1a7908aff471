"""What 1,000 calls that wait and 1,000 that watch cost the others.

They wait for jobs that do not end in the run. All of them call one API server: first it is the only one, then
there is a second one beside it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from bench import systems
from bench.crowd import crowd
from bench.json_file import save_json
from bench.load.grpc_load import create_one_by_one
from bench.load.submitted import Submitted
from bench.measure import measure_row
from bench.report import shown, table
from bench.results import Sample
from bench.servers import data_directory
from bench.settings import BenchSettings
from bench.stats import spread
from bench.systems import JobSystem
from bench.work import Numbers

API_SERVERS = 1, 2
CALM_SECONDS = 12.0
"""An API server reads all changes until 10 s after the last call that waits or watches."""
DRAIN_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Pair:
    """The same jobs with nobody who waits, and with the crowd. The sample's load is without the crowd's own
    CPU time, which is `crowd_cpu_seconds`.
    """

    api_servers: int
    alone: Sample
    crowded: Sample
    crowd_cpu_seconds: float

    @property
    def rate(self) -> float:
        """Jobs per second with the crowd, as a share of those without."""
        return self.crowded.rate / self.alone.rate

    @property
    def cpu(self) -> float:
        """CPU per job with the crowd, as a multiple of that without."""
        return self.crowded.cpu_per_1000 / self.alone.cpu_per_1000


def waiting(settings: BenchSettings, show: Callable[[str], None]) -> None:
    """Raises StackError, BenchFailed."""
    pairs: list[Pair] = []
    for api_servers in API_SERVERS:
        with (
            data_directory(settings.output) as directory,
            systems.ours(directory, api_servers, settings.workers) as system,
        ):
            measurement = Waiting(settings, system)
            for _ in range(settings.rounds):
                pairs.append(measurement.pair(api_servers))
                show(f"  {api_servers} API servers: {pairs[-1].rate:.2f} of the jobs/s without the crowd")
    settings.output.mkdir(parents=True, exist_ok=True)
    text = report(pairs, settings.waits, settings.watches)
    show(f"\n{text}\n")
    (settings.output / "waiting.md").write_text(f"{text}\n")
    save_json([asdict(each) for each in pairs], settings.output / "waiting.json")


class Waiting:
    """Measures one system."""

    def __init__(self, settings: BenchSettings, system: JobSystem) -> None:
        self._settings = settings
        self._system = system
        self._numbers = Numbers()
        self._create(self._numbers.take(), settings.warm_up_jobs)
        system.wait_drained(DRAIN_SECONDS)

    def pair(self, api_servers: int) -> Pair:
        settings = self._settings
        alone = self._sample()
        with crowd(self._system.grpc_address, settings.waits, settings.watches) as there:
            crowded = self._sample()
        time.sleep(CALM_SECONDS)
        return Pair(api_servers, alone, crowded, there.cpu_seconds)

    def _sample(self) -> Sample:
        jobs = self._settings.grpc_jobs
        return measure_row(
            self._system, self._numbers.take(), lambda first: self._create(first, jobs), DRAIN_SECONDS
        )

    def _create(self, first: int, jobs: int) -> Submitted:
        return create_one_by_one(self._system.grpc_addresses, first, jobs, self._settings.in_flight)


def report(pairs: Sequence[Pair], waits: int, watches: int) -> str:
    """A row for each number of API servers. Pure."""
    crowd_name = f"{waits:,} waits and {watches:,} watches"
    rows = []
    for api_servers in sorted({each.api_servers for each in pairs}):
        found = [each for each in pairs if each.api_servers == api_servers]
        rows.append(
            [
                str(api_servers),
                shown(spread(each.alone.rate for each in found)),
                shown(spread(each.crowded.rate for each in found)),
                shown(spread(each.rate for each in found)),
                shown(spread(each.cpu for each in found)),
                shown(spread(each.crowd_cpu_seconds / each.crowded.total_seconds for each in found)),
            ]
        )
    head = ["API servers", "jobs/s alone", f"jobs/s with {crowd_name}", "ratio", "ratio of CPU per job"]
    return table([*head, "the crowd's own CPU, cores"], rows)
