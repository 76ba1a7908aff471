"""Jobs that the server itself fails are counted as failed, and every other call goes to the store."""

from typing import Any, cast
from unittest.mock import AsyncMock, call
from uuid import UUID

from api_server.ports import EndedLeases, LeaseStore
from api_server.recovery.ports import DueStore
from api_server.services.counted_failures import CountedDue, CountedLeases
from tests.unit.api_server.feed.feed_fakes import NOW

IDS = [UUID(int=1), UUID(int=2)]


class Failed:
    """What was counted."""

    def __init__(self) -> None:
        self.counts: list[tuple[str, int]] = []

    def failed(self, job_type: str, count: int) -> None:
        self.counts.append((job_type, count))


async def test_jobs_that_expire_are_counted_under_their_type() -> None:
    store, failed = AsyncMock(DueStore), Failed()
    store.expire.return_value = 1
    assert await CountedDue(store, cast("Any", failed)).expire("compute", IDS, NOW) == 1
    store.expire.assert_awaited_once_with("compute", IDS, NOW)
    store.expire.return_value = 0
    assert await CountedDue(store, cast("Any", failed)).expire("file", IDS, NOW) == 0
    assert failed.counts == [("compute", 1)]


async def test_poison_is_counted_when_its_lease_ends_or_its_worker_is_replaced() -> None:
    ended = EndedLeases(7, {"compute": 2, "file": 1})
    due, leases, failed = AsyncMock(DueStore), AsyncMock(LeaseStore), Failed()
    due.expire_leases.return_value = leases.release_all.return_value = ended
    activity: Any = failed
    assert await CountedDue(due, activity).expire_leases(NOW, 9) == ended
    assert await CountedLeases(leases, activity).release_all("w", NOW) == ended
    assert failed.counts == [("compute", 2), ("file", 1)] * 2


async def test_all_other_calls_go_to_the_store() -> None:
    due, leases = AsyncMock(DueStore), AsyncMock(LeaseStore)
    activity: Any = None
    counted_due, counted_leases = CountedDue(due, activity), CountedLeases(leases, activity)
    await counted_due.has_due(["compute"], NOW)
    await counted_due.due("compute", NOW, 3, NOW)
    await counted_due.mark_published([], NOW)
    assert due.mock_calls == [
        call.has_due(["compute"], NOW),
        call.due("compute", NOW, 3, NOW),
        call.mark_published([], NOW),
    ]
    await counted_leases.move_leases("w", IDS, NOW, 15.0)
    await counted_leases.still_held("w", IDS)
    await counted_leases.note_progress("w", [], NOW)
    assert leases.mock_calls == [
        call.move_leases("w", IDS, NOW, 15.0),
        call.still_held("w", IDS),
        call.note_progress("w", [], NOW),
    ]
