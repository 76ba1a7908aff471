"""Every acknowledged job ends and has one result, whichever process dies, freezes or is cut off."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from local_stack.stack import Stack
from tests.faults.cluster import Cluster
from tests.faults.nemesis import nemesis
from tests.faults.scenarios import (
    SCENARIOS,
    compared,
    kafka_frozen,
    nothing,
    poison,
    rolling_restarts,
    topic_deleted,
    worker_frozen,
    wrong_clocks,
)
from tests.faults.settings import FaultSettings
from tests.faults.trial import Result, Scenario, run_trial

RunScenarios = Callable[[Sequence[Scenario], int, float], Awaitable[Result]]
"""Arguments: the scenarios in their order, the jobs for each, and the seconds until all jobs must end."""
TRIALS = SCENARIOS if FaultSettings().joined else [[scenario] for joined in SCENARIOS for scenario in joined]
SLOW = {kafka_frozen, nothing, poison, rolling_restarts, topic_deleted, worker_frozen, wrong_clocks}
"""Smaller tests of `make test` show the same."""

pytestmark = pytest.mark.timeout(3600)


def name_of(scenarios: Sequence[Scenario]) -> str:
    return ", ".join(scenario.__name__ for scenario in scenarios)


def trial(scenarios: Sequence[Scenario]) -> ParameterSet:
    marks = [pytest.mark.slow] if SLOW.intersection(scenarios) else []
    return pytest.param(scenarios, id=name_of(scenarios), marks=marks)


@pytest.fixture
def run(
    fault_stack: Stack, fault_settings: FaultSettings, tmp_path: Path, show: Callable[[str], None]
) -> RunScenarios:
    """Run scenarios, print their line, and fail if the checker finds a violation."""

    async def run_scenarios(scenarios: Sequence[Scenario], count: int, bound: float) -> Result:
        cluster = Cluster(fault_stack, fault_settings.lease)
        result = await run_trial(cluster, scenarios, fault_settings, tmp_path, show, count, bound)
        show(result.figures.line(name_of(scenarios).replace("_", " ")))
        assert not result.findings, "\n".join(str(finding) for finding in result.findings)
        return result

    return run_scenarios


@pytest.mark.parametrize("scenarios", [trial(scenarios) for scenarios in TRIALS])
async def test_no_job_is_lost_stuck_or_completed_twice(
    run: RunScenarios, fault_settings: FaultSettings, scenarios: Sequence[Scenario]
) -> None:
    await run(scenarios, fault_settings.jobs, fault_settings.bound)


@pytest.mark.slow
async def test_no_job_is_lost_stuck_or_completed_twice_under_random_faults(
    run: RunScenarios, fault_settings: FaultSettings
) -> None:
    seconds = fault_settings.minutes * 60
    # Many jobs become suspects, because many workers are killed. A worker runs only few suspects at a time.
    await run([nemesis], round(seconds * fault_settings.rate), fault_settings.bound + 2 * seconds)


@pytest.mark.slow
async def test_all_workers_work_again_soon_after_they_were_killed_and_restarted(
    run: RunScenarios, fault_settings: FaultSettings, show: Callable[[str], None]
) -> None:
    result = await run([compared], 0, fault_settings.bound)
    assert result.figures.completed == fault_settings.compared
    kills = [fault for fault in result.history.faults if fault.kind == "killed"]
    last = max(stored.end_time or 0 for stored in result.history.stored.values())
    assert last > max(fault.at for fault in kills), "all jobs had ended before the workers were killed"
    seconds = last - max(fault.healed for fault in kills)
    show(f"compared: {fault_settings.compared} jobs, all done {seconds:.1f} s after the restart")
    assert seconds < fault_settings.compared_within
