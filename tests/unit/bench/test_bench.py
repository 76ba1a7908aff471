"""The benchmark's arithmetic, checks and targets."""

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import report, stats, work
from bench.results import Latency, Memory, Results, Round, Sample
from bench.settings import BenchSettings
from bench.stats import Spread
from bench.targets import (
    CELERY,
    DRAMATIQ,
    FLOOR,
    MEMORY_BOUND,
    OURS_BATCH,
    OURS_GRPC,
    OURS_REST,
    OURS_WAIT,
    PLAIN,
    TASKIQ,
    verdicts,
)
from local_stack.settings import ROOT


def sample(rate: float, cpu: float = 1.0, load: float = 0.0) -> Sample:
    """A sample of 1,000 jobs. `cpu` and `load` are CPU seconds for all of them."""
    return Sample(1000, 500 / rate, 1000 / rate, {"api_server": cpu}, load, {"api_server": 10**8})


def latency(p50: float, p99: float) -> Latency:
    return Latency(p50, (p50 + p99) / 2, p99, 500)


MET = Round(
    samples={
        OURS_GRPC: sample(3_000),
        OURS_BATCH: sample(8_000, cpu=0.25),
        OURS_REST: sample(2_500),
        CELERY: sample(600, cpu=2.3),
        # Rows without a target, far better than ours.
        TASKIQ: sample(20_000, cpu=0.1),
        DRAMATIQ: sample(20_000, cpu=0.1),
        PLAIN: sample(150),
        FLOOR: sample(12_000),
    },
    latencies={
        OURS_WAIT: latency(8, 15),
        OURS_GRPC: latency(10, 30),
        CELERY: latency(9, 20),
        TASKIQ: latency(1, 2),
    },
    batch=400,
)
MEMORY = (Memory(20_000, 200_000_000), Memory(200_000, 210_000_000))


def met(results: Results) -> list[bool]:
    return [each.met for each in verdicts(results)]


def with_sample(name: str, changed: Sample) -> Round:
    return replace(MET, samples={**MET.samples, name: changed})


def test_all_targets_can_be_met() -> None:
    assert met(Results([MET, MET, MET], MEMORY)) == [True] * 9


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        (with_sample(OURS_GRPC, sample(2_999)), [0]),
        (with_sample(OURS_BATCH, sample(7_799, cpu=0.25)), [1]),
        (with_sample(FLOOR, sample(13_400)), [2]),
        (with_sample(OURS_REST, sample(2_399)), [3]),
        (with_sample(PLAIN, sample(167)), [4]),
        (replace(MET, latencies={**MET.latencies, CELERY: latency(7.9, 20)}), [5]),
        (replace(MET, latencies={**MET.latencies, CELERY: latency(9, 14.9)}), [6]),
        (with_sample(OURS_BATCH, sample(8_000, cpu=0.26)), [7]),
        # Without the load generators' time this target would be met.
        (with_sample(OURS_BATCH, sample(8_000, cpu=0.25, load=0.1)), [7]),
    ],
)
def test_each_target_can_be_missed_by_a_little(changed: Round, missed: list[int]) -> None:
    assert [n for n, holds in enumerate(met(Results([changed], MEMORY))) if not holds] == missed


def test_memory_may_grow_up_to_its_bound() -> None:
    before = Memory(20_000, 100_000_000)

    assert met(Results([MET], (before, Memory(200_000, int(before.rss * MEMORY_BOUND)))))[-1]
    assert not met(Results([MET], (before, Memory(200_000, int(before.rss * MEMORY_BOUND) + 1))))[-1]


def test_a_target_without_measurements_is_reported_as_not_measured() -> None:
    without = replace(MET, samples={OURS_GRPC: MET.samples[OURS_GRPC]}, latencies={})

    found = verdicts(Results([without]))

    assert [each.measured for each in found] == [None] * 9
    assert not any(each.met for each in found)
    assert report.targets(found).count("not measured") == 9


def test_the_median_of_the_rounds_decides() -> None:
    slow = with_sample(OURS_GRPC, sample(100))

    assert met(Results([MET, slow, MET], MEMORY))[0]
    assert not met(Results([slow, MET, slow], MEMORY))[0]


def test_every_row_and_figure_is_reported() -> None:
    text = report.report(Results([MET, MET], MEMORY))

    rates, latencies, cpu, memory, _ = text.split("\n\n")
    for name, each in MET.samples.items():
        [row] = [line for line in rates.splitlines() if line.startswith(f"| {name} ")]
        figures = [each.submit_rate, each.rate, each.cpu_per_1000, each.load_per_1000, each.peak / 1e6]
        assert cells(row) == [name, *map(report.number, figures)]
        assert f"| {name} " in cpu
    for name, found in MET.latencies.items():
        [row] = [line for line in latencies.splitlines() if line.startswith(f"| {name} ")]
        assert cells(row) == [name, *map(report.number, [found.p50, found.p95, found.p99])]
    assert [cells(row) for row in memory.splitlines()[2:]] == [["20,000", "200"], ["200,000", "210"]]
    assert text.count(" met ") == 9


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "-"),
        (Spread(5.0, 5.0, 5.0), "5.00"),
        (Spread(1234.5, 999.6, 2000.0), "1,234 (1,000 to 2,000)"),
        (Spread(0.111, 0.1, 10.04), "0.11 (0.10 to 10.0)"),
    ],
)
def test_a_spread_is_shown_with_three_significant_digits(found: Spread | None, text: str) -> None:
    assert report.shown(found) == text


def test_a_table_is_padded_markdown() -> None:
    assert report.table(["a", "bb"], [["ccc", "d"]]) == "| a   | bb |\n| --- | -- |\n| ccc | d  |"


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_is_the_smallest_value_that_the_share_of_values_does_not_exceed(
    values: list[float], share: float
) -> None:
    found = stats.percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < max(share * len(values), 1)


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        stats.percentile([], 0.5)


@pytest.mark.parametrize(
    ("sizes", "median"), [([1], 1), ([1, 1, 1, 1, 500], 500), ([1] * 10 + [9], 1), ([200, 100, 300], 200)]
)
def test_the_weighted_median_counts_jobs_not_batches(sizes: list[int], median: int) -> None:
    assert stats.weighted_median(sizes) == median


def results_of(numbers: Iterable[int]) -> list[tuple[str, str]]:
    return [(work.text(number), work.digest(work.text(number))) for number in numbers]


def test_each_job_has_its_own_text_of_64_characters() -> None:
    assert {len(work.text(number)) for number in (0, 1, 10**9)} == {64}
    assert work.text(1) != work.text(2)


def test_right_results_pass() -> None:
    work.check(results_of(range(5, 8)), first=5, jobs=3)


@pytest.mark.parametrize(
    ("results", "problem"),
    [
        (results_of([5, 6]), "3 jobs were submitted, 2 have"),
        (results_of([5, 6, 6]), "twice"),
        (results_of([5, 6, 8]), "never submitted"),
        (results_of([4, 5, 6]), "never submitted"),
        ([*results_of([5, 6]), (work.text(7), "queued")], "'queued'"),
        ([*results_of([5, 6]), (work.text(7), work.digest(work.text(8)))], "has the result"),
    ],
)
def test_wrong_results_are_found(results: list[tuple[str, str]], problem: str) -> None:
    with pytest.raises(work.WrongResults, match=problem):
        work.check(results, first=5, jobs=3)


def test_blocks_of_job_numbers_do_not_overlap() -> None:
    numbers = work.Numbers()

    assert numbers.take() + work.BLOCK <= numbers.take()


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs/reference/performance.md").read_text()
    rows = dict(re.findall(r"^\| `BENCH_([A-Z_]+)` \| `(.*?)` \|", page, re.MULTILINE))

    defaults = {}
    for name, field in BenchSettings.model_fields.items():
        default = field.default.relative_to(ROOT) if isinstance(field.default, Path) else field.default
        defaults[name.upper()] = ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
    assert rows == defaults


def test_several_counts_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_STORED", "0,5000")

    assert BenchSettings().stored == (0, 5000)
