"""The groups of tests name tests that exist, so that no renamed test leaves its group unnoticed."""

from pathlib import Path

import pytest

from tests.faults.scenarios import SCENARIOS
from tests.groups import PREFIXES, SCENARIO, group_of

ROOT = Path(__file__).parents[2]
FILES = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")]


@pytest.mark.parametrize("prefix", sorted(PREFIXES))
def test_each_prefix_is_the_beginning_of_a_test_id(prefix: str) -> None:
    path, _, name = prefix.partition("::")
    assert any(file.startswith(path) for file in FILES)
    if name:
        assert f"def {name.partition('[')[0]}(" in (ROOT / path).read_text()


def test_each_scenario_in_a_group_exists() -> None:
    scenarios = [scenario.__name__ for joined in SCENARIOS for scenario in joined]
    for prefix in PREFIXES:
        if prefix.startswith(f"{SCENARIO}["):
            begin = prefix.removeprefix(f"{SCENARIO}[")
            assert any(name.startswith(begin) for name in scenarios), begin


def test_the_longest_prefix_counts_and_other_modules_are_groups_of_their_own() -> None:
    assert group_of("tests/e2e/test_recovery.py::test_x") == "rough"
    assert group_of("tests/e2e/test_jobs.py::test_x") == "calm"
    assert group_of("tests/unit/test_docs.py::test_x") == "tests/unit/test_docs.py"
