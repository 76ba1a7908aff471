"""Which tests run in one process, one after the other, when `pytest -n` runs tests in several processes.

The tests of a group share what is expensive to start: a stack, or a database. A module that is not listed is
a group of its own. Long groups start first, so that no process works alone for long at the end.
"""

from collections.abc import Mapping, Sequence

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

GROUPS: Mapping[str, Sequence[str]] = {
    "faults": ("tests/faults/test_scenarios.py",),
    # Tests that stop, kill or freeze parts of the shared system.
    "stopping": (
        "tests/integration/test_worker_endings.py",
        "tests/e2e/test_recovery.py",
        "tests/e2e/test_gateway_outages.py",
        "tests/e2e/test_fleet_control.py",
        "tests/e2e/test_poison.py",
        "tests/e2e/test_jobs_that_are_running.py",
        "tests/e2e/dashboard/",
    ),
    # Tests that leave the shared system's parts alone. Some start more servers beside it.
    "running": (
        "tests/e2e/",
        "tests/security/",
        "tests/fuzz/test_",
        "tests/stubs/",
        "tests/integration/test_worker.py",
        "tests/integration/test_worker_calls.py",
        "tests/integration/test_worker_names.py",
    ),
    "kafka": ("tests/integration/kafka/",),
    "elections": (
        "tests/integration/mongo/test_elections.py",
        "tests/integration/mongo/test_mongo_faults.py",
    ),
    "mongo": ("tests/integration/mongo/",),
}
"""For each group the prefixes of its test ids, in the order of start.

The longest prefix that fits an id counts.
"""
PREFIXES = {prefix: group for group, prefixes in GROUPS.items() for prefix in prefixes}


def group_of(test_id: str) -> str:
    fitting = [prefix for prefix in PREFIXES if test_id.startswith(prefix)]
    return PREFIXES[max(fitting, key=len)] if fitting else test_id.split("::", maxsplit=1)[0]


def in_order_of_start(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests of each group together, those of the listed groups first."""
    groups = {group_of(item.nodeid): None for item in items}
    ranks = {group: rank for rank, group in enumerate(dict.fromkeys([*GROUPS, *groups]))}
    return sorted(items, key=lambda item: ranks[group_of(item.nodeid)])


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # - it has no types
    """Gives each process a group at a time."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
