"""Whatever single process dies, freezes or is cut off: every acknowledged job ends, and its result is recorded once."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from local_stack.stack import Stack
from tests.faults.cluster import Cluster
from tests.faults.nemesis import nemesis
from tests.faults.scenarios import SCENARIOS, compared
from tests.faults.settings import FaultSettings
from tests.faults.trial import Result, Scenario, run_trial

Try = Callable[[Scenario, int, float], Awaitable[Result]]
"""Runs a scenario under a load of so many jobs, all of which must end within a bound, in seconds."""

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def run(
    fault_stack: Stack, fault_settings: FaultSettings, tmp_path: Path, tell: Callable[[str], None]
) -> Try:
    """Prints the scenario's line, and fails if anything is wrong."""

    async def try_it(scenario: Scenario, count: int, bound: float) -> Result:
        cluster = Cluster(fault_stack, fault_settings.lease)
        result = await run_trial(cluster, scenario, fault_settings, tmp_path, tell, count, bound)
        tell(result.figures.line(scenario.__name__.replace("_", " ")))
        assert not result.findings, "\n".join(str(finding) for finding in result.findings)
        return result

    return try_it


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_no_job_is_lost_stuck_or_recorded_twice(
    run: Try, fault_settings: FaultSettings, scenario: Scenario
) -> None:
    await run(scenario, fault_settings.jobs, fault_settings.bound)


async def test_nor_by_many_faults_at_random(run: Try, fault_settings: FaultSettings) -> None:
    seconds = fault_settings.minutes * 60
    # So many workers are killed that many jobs become suspects, of which a worker runs few at a time.
    await run(nemesis, round(seconds * fault_settings.rate), fault_settings.bound + 2 * seconds)


async def test_all_workers_killed_and_restarted_are_back_at_work_at_once(
    run: Try, fault_settings: FaultSettings, tell: Callable[[str], None]
) -> None:
    result = await run(compared, 0, fault_settings.bound)
    assert result.figures.completed == fault_settings.compared
    kills = [fault for fault in result.history.faults if fault.kind == "killed"]
    last = max(stored.end_time or 0 for stored in result.history.stored.values())
    assert last > max(fault.at for fault in kills), "all jobs were done before the workers were killed"
    seconds = last - max(fault.healed for fault in kills)
    tell(f"compared: {fault_settings.compared} jobs, all done {seconds:.1f} s after the restart")
    assert seconds < fault_settings.compared_within
