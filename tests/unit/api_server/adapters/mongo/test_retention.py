"""The indexes by which MongoDB deletes ended jobs."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api_server.adapters.mongo.retention import expiries
from api_server.domain.retention import KEEP_ALL, Retention

types = st.sampled_from(["a", "a-b", "ab", "b", "compute", "data", "z"])
times = st.none() | st.integers(1, 100)


def contains(condition: Mapping[str, Any], job_type: str) -> bool:
    """Whether an index with this filter contains ended jobs of the type."""
    assert condition["end_time"] == {"$exists": True}
    gaps = [each["type"] for each in condition.get("$or", [])]
    if gaps:
        return any(gap["$gt"] < job_type < gap.get("$lt", "~") for gap in gaps)
    return condition.get("type") in (None, job_type)


@given(times, st.dictionaries(types, times), types)
def test_each_ended_job_is_in_the_one_index_of_its_time(
    usual: int | None, of_type: dict[str, int | None], job_type: str
) -> None:
    found = [
        each.seconds
        for each in expiries(Retention(usual, of_type)).values()
        if contains(each.contains, job_type)
    ]
    wanted = of_type.get(job_type, usual)
    assert found == ([] if wanted is None else [wanted])


def test_without_the_setting_there_is_no_index() -> None:
    assert expiries(KEEP_ALL) == {}


def test_one_time_for_all_types_has_the_index_of_earlier_versions() -> None:
    [(name, expiry)] = expiries(Retention(60)).items()
    assert (name, expiry.contains, expiry.seconds) == ("end_time_1", {"end_time": {"$exists": True}}, 60)
