"""The groups of tests name tests that exist, so that no renamed test leaves its group unnoticed."""

from pathlib import Path

import pytest

from tests.groups import PREFIXES, group_of

ROOT = Path(__file__).parents[2]
FILES = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")]


@pytest.mark.parametrize("prefix", sorted(PREFIXES))
def test_each_prefix_is_the_beginning_of_a_module_s_path(prefix: str) -> None:
    assert any(file.startswith(prefix) for file in FILES)


def test_the_longest_prefix_counts_and_other_modules_are_groups_of_their_own() -> None:
    assert group_of("tests/e2e/test_recovery.py::test_x") == "stopping"
    assert group_of("tests/e2e/test_jobs.py::test_x") == "running"
    assert group_of("tests/unit/test_docs.py::test_x") == "tests/unit/test_docs.py"
