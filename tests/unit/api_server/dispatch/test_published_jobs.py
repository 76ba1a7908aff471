"""Which published jobs count as unclaimed."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from api_server.dispatch.published_jobs import PublishedJobs
from api_server.domain.record_positions import RecordPosition
from api_server.ports import Published
from tests.unit.api_server.dispatch.dispatch_fakes import NOW

LATER = NOW + timedelta(hours=1)
ALL = 10**9


def job(number: int, offset: int | None = None, partition: int = 0) -> Published:
    return Published(
        UUID(int=number), 0, RecordPosition(partition, number if offset is None else offset, time=0)
    )


def filled(jobs: Sequence[Published], job_type: str = "compute") -> PublishedJobs:
    published = PublishedJobs()
    for each in jobs:
        published.add(job_type, each, LATER)
    return published


def test_a_claim_removes_all_earlier_records_of_its_partition() -> None:
    jobs, others = [job(number) for number in range(5)], [job(number, partition=1) for number in range(5, 8)]
    published = filled([*jobs, *others])
    published.add("file", job(8, offset=0), LATER)
    published.remove_claimed(jobs[2].job_id)
    assert published.take_all() == [*jobs[3:], *others, job(8, offset=0)]


def test_a_claim_of_a_job_that_another_server_published_removes_none() -> None:
    jobs = [job(number) for number in range(3)]
    published = filled(jobs)
    published.remove_claimed(UUID(int=99))
    assert published.take_all() == jobs


def test_a_withdrawn_job_removes_no_other() -> None:
    jobs = [job(number) for number in range(3)]
    published = filled(jobs)
    published.discard(jobs[2].job_id)
    published.discard(UUID(int=99))
    assert published.take_all() == jobs[:2]


def test_a_job_published_again_counts_with_its_latest_record() -> None:
    jobs, again = [job(number) for number in range(3)], job(0, offset=7)
    published = filled([*jobs, again])
    assert len(published) == 3
    published.remove_claimed(jobs[2].job_id)
    assert published.take_all() == [again]


def test_after_a_topic_was_created_again_a_claim_removes_no_record_of_the_old_one() -> None:
    old, new = job(1, offset=1000), [job(2, offset=0), job(3, offset=1)]
    published = filled([old, *new])
    published.remove_claimed(new[0].job_id)
    assert published.take_all() == [old, new[1]]


def test_take_returns_the_due_jobs_and_the_oldest_beyond_the_bound() -> None:
    published = PublishedJobs()
    for number in range(6):
        published.add("compute", job(number), LATER if number != 4 else NOW)
    assert published.take(NOW - timedelta(milliseconds=1), at_most=6) == []
    assert published.take(NOW, at_most=4) == [job(0), job(1), job(4)]
    assert len(published) == 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "claim", "discard", "take", "take_all"]),
            st.integers(0, 9),
            st.integers(0, 1),
        )
    )
)
@example([("add", 0, 0), ("add", 0, 1), ("take_all", 0, 0)])
def test_removed_jobs_leave_nothing_behind(steps: list[tuple[str, int, int]]) -> None:
    published = PublishedJobs()
    for offset, (step, number, partition) in enumerate(steps):
        match step:
            case "add":
                published.add("compute", job(number, offset, partition), LATER)
                assert UUID(int=number) in published
            case "claim":
                published.remove_claimed(UUID(int=number))
                assert UUID(int=number) not in published
            case "discard":
                published.discard(UUID(int=number))
                assert UUID(int=number) not in published
            case "take":
                published.take(NOW, at_most=number)
                assert len(published) <= number
            case _:
                published.take_all()
                assert (len(published), [each for each in published._partitions.values() if each]) == (0, [])
