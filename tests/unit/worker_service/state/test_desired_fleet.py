"""Which jobs a worker may take by the desired state of the fleet."""

from job_client._gen.jobs.v1.worker_pb2 import Fleet
from worker_service.state.desired_fleet import DesiredFleet


def test_nothing_is_consumed_before_the_first_desired_state_is_received() -> None:
    desired = DesiredFleet("test", lambda: None)

    assert not desired.consuming
    assert not desired.allows("compute")


def test_a_desired_state_is_not_followed_until_it_is_marked() -> None:
    desired = DesiredFleet("test", lambda: None)
    desired.receive(Fleet(consuming=True, revision=4))

    assert (desired.consuming, desired.is_followed, desired.followed_revision) == (True, False, 0)
    desired.mark_followed()
    assert (desired.is_followed, desired.followed_revision) == (True, 4)


def test_an_older_desired_state_is_ignored() -> None:
    desired = DesiredFleet("test", lambda: None)
    desired.receive(Fleet(consuming=False, revision=2))
    desired.receive(Fleet(consuming=True, revision=1))

    assert not desired.consuming


def test_after_a_reset_nothing_is_allowed_and_any_revision_is_received() -> None:
    desired = DesiredFleet("test", lambda: None)
    desired.receive(Fleet(consuming=True, revision=2))
    desired.mark_followed()
    desired.reset()
    assert not desired.allows("compute")
    assert (desired.stopped_by_name, desired.followed_revision) == (False, 0)

    desired.receive(Fleet(consuming=True, revision=1))
    assert desired.allows("compute")
    assert not desired.is_followed


def test_a_stop_holds_for_the_worker_that_it_names() -> None:
    fleet = Fleet(consuming=True, revision=1, stopped_workers=["other", "test"])
    stopped, other, third = (DesiredFleet(name, lambda: None) for name in ("test", "other", "third"))
    for desired in (stopped, other, third):
        desired.receive(fleet)

    assert [desired.allows("compute") for desired in (stopped, other, third)] == [False, False, True]
    assert [desired.stopped_by_name for desired in (stopped, other, third)] == [True, True, False]


def test_a_stop_holds_for_the_type_that_it_names() -> None:
    desired = DesiredFleet("test", lambda: None)
    desired.receive(Fleet(consuming=True, revision=1, stopped_types=["compute"]))

    assert (desired.allows("compute"), desired.allows("data"), desired.consuming) == (False, True, True)
    assert not desired.stopped_by_name


def test_only_a_change_for_this_worker_calls_on_change() -> None:
    changes: list[None] = []
    desired = DesiredFleet("test", lambda: changes.append(None))
    for revision, fleet in enumerate(
        [
            Fleet(consuming=True),
            Fleet(consuming=True, stopped_workers=["other"]),
            Fleet(consuming=True, stopped_types=["data"]),
            Fleet(consuming=True, stopped_types=["data"], stopped_workers=["other"]),
            Fleet(consuming=False, stopped_types=["data"], stopped_workers=["test"]),
            Fleet(consuming=False, stopped_types=["data"], stopped_workers=["other", "test"]),
            Fleet(consuming=False, stopped_types=["data"]),
        ]
    ):
        fleet.revision = revision
        desired.receive(fleet)

    assert len(changes) == 4
