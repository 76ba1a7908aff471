"""The results as Markdown tables. Pure."""

from collections.abc import Callable, Iterable, Sequence

from bench.results import Memory, Results, Round, Sample
from bench.stats import Spread, spread
from bench.targets import ROWS, Verdict, verdicts

Cell = str


def report(results: Results) -> str:
    parts = [
        rates(results.rounds),
        latencies(results.rounds),
        cpu_by_role(results.rounds),
        memory(results.memory),
        targets(verdicts(results)),
    ]
    return "\n\n".join(part for part in parts if part)


def rates(rounds: Sequence[Round]) -> str:
    columns: dict[str, Callable[[Sample], float]] = {
        "submit/s": lambda each: each.submit_rate,
        "end to end jobs/s": lambda each: each.rate,
        "CPU s/1,000": lambda each: each.cpu_per_1000,
        "load's CPU s/1,000": lambda each: each.load_per_1000,
        "peak MB": lambda each: each.peak / 1e6,
    }
    rows = [
        [name, *(shown(spread(value(each) for each in found)) for value in columns.values())]
        for name in ROWS
        if (found := [one.samples[name] for one in rounds if name in one.samples])
    ]
    return table(["", *columns], rows)


def latencies(rounds: Sequence[Round]) -> str:
    rows = []
    for name in ROWS:
        found = [one.latencies[name] for one in rounds if name in one.latencies]
        if found:
            of_each = ((each.p50, each.p95, each.p99) for each in found)
            rows.append([name, *(shown(spread(values)) for values in zip(*of_each, strict=True))])
    return table(["latency in ms", "p50", "p95", "p99"], rows)


def cpu_by_role(rounds: Sequence[Round]) -> str:
    """Microseconds of CPU per job."""
    rows = []
    for name in ROWS:
        found = [one.samples[name] for one in rounds if name in one.samples]
        roles = sorted({role for each in found for role in each.cpu_seconds})
        for role in roles:
            micros = spread(each.cpu_seconds.get(role, 0.0) / each.jobs * 1e6 for each in found)
            rows.append([name, role, shown(micros)])
    return table(["CPU", "process", "µs per job"], rows)


def memory(found: Sequence[Memory]) -> str:
    rows = [[f"{each.jobs:,}", f"{each.rss / 1e6:,.0f}"] for each in found]
    return table(["after this number of jobs", "API server and worker, MB"], rows) if rows else ""


def targets(results: Iterable[Verdict]) -> str:
    rows = [
        [
            each.what,
            f"against {each.against}",
            f"{'at most' if each.at_most else 'at least'} {number(each.bound)}",
            shown(each.measured),
            "not measured" if each.measured is None else "met" if each.met else "NOT MET",
        ]
        for each in results
    ]
    return table(["target", "", "ratio", "measured", ""], rows)


def shown(found: Spread | None) -> Cell:
    """The median, with the lowest and the highest value if they differ."""
    if found is None:
        return "-"
    if found.low == found.high:
        return number(found.median)
    return f"{number(found.median)} ({number(found.low)} to {number(found.high)})"


def number(value: float) -> str:
    """The number with about three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(head: Sequence[Cell], rows: Sequence[Sequence[Cell]]) -> str:
    """A Markdown table, padded so that it is also easy to read in a terminal."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    rule = ["-" * width for width in widths]
    lines = (
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in [head, rule, *rows]
    )
    return "\n".join(f"| {line} |" for line in lines)
