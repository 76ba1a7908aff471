"""Whatever single process dies, freezes or is cut off: every acknowledged job ends, and its result is recorded once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local_stack.stack import Stack
from tests.faults.cluster import Cluster
from tests.faults.scenarios import SCENARIOS
from tests.faults.settings import FaultSettings
from tests.faults.trial import Scenario, run_trial


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_no_job_is_lost_stuck_or_recorded_twice(
    fault_stack: Stack,
    fault_settings: FaultSettings,
    tmp_path: Path,
    tell: Callable[[str], None],
    scenario: Scenario,
) -> None:
    cluster = Cluster(fault_stack, fault_settings.lease)
    result = await run_trial(cluster, scenario, fault_settings, tmp_path)
    tell(result.figures.line(scenario.__name__.replace("_", " ")))
    assert not result.findings, "\n".join(str(finding) for finding in result.findings)
