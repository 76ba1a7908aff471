"""The times of many jobs at each hand-over. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from bench.hops.points import Hop
from bench.report import number, table
from bench.stats import percentile

Way = Mapping[Hop, int]
"""When a job was at each hand-over, in nanoseconds of one clock."""


def read_ways(lines: Iterable[str]) -> dict[str, Way]:
    """The way of each job, by id. A hand-over that was seen twice counts when it was seen first."""
    ways: defaultdict[str, dict[Hop, int]] = defaultdict(dict)
    for line in lines:
        nanoseconds, name, job_id = line.split()
        hop, time = Hop[name], int(nanoseconds)
        ways[job_id][hop] = min(time, ways[job_id].get(hop, time))
    return dict(ways)


def complete(ways: Iterable[Way]) -> list[Way]:
    """Those that have all hand-overs."""
    return [way for way in ways if len(way) == len(Hop)]


def report(ways: Sequence[Way]) -> str:
    """A row for each hand-over. Raises ValueError if there is no way."""
    rows = []
    before = Hop.CALLED
    for hop in Hop:
        since_call = [(way[hop] - way[Hop.CALLED]) / 1e6 for way in ways]
        step = [(way[hop] - way[before]) / 1e6 for way in ways]
        figures = [percentile(values, share) for values in (since_call, step) for share in (0.5, 0.99)]
        rows.append([hop.value, *map(number, figures)])
        before = hop
    return table(["", "ms after the call, p50", "p99", "ms after the row above, p50", "p99"], rows)
