"""Who may act in the name of a worker, and how rarely the store is asked."""

from collections.abc import Collection, Mapping
from uuid import uuid4

import pytest

from api_server.domain.errors import ClaimStopped, WorkerNotRegistered, WorkerSessionWrong
from api_server.domain.job import Status
from api_server.domain.status_update import Claim, StatusUpdate, Token
from api_server.services import worker_sessions
from api_server.services.worker_sessions import (
    UNREGISTERED_SECONDS,
    UpdatesOfWorkers,
    WorkerSessions,
)
from contract_runtime.errors import ServiceError

MINE, OTHER = "a" * 64, "b" * 64


class Store:
    """Registered workers, and the questions for them."""

    def __init__(self) -> None:
        self.registered: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.now = 0.0

    async def sessions(self, worker_ids: Collection[str]) -> Mapping[str, str]:
        self.asked.append(sorted(worker_ids))
        return {each: self.registered[each] for each in worker_ids if each in self.registered}


class Stopped:
    """Refuses the claims of one worker."""

    async def refusals(self, updates: Mapping[int, StatusUpdate]) -> Mapping[int, ServiceError]:
        return {
            index: ClaimStopped("WORKER_STOPPED", update.job_id)
            for index, update in updates.items()
            if update.claim is not None and update.claim.worker_id == "stopped/1"
        }


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def sessions(store: Store) -> WorkerSessions:
    return WorkerSessions(store, lambda: store.now)


async def test_a_registered_worker_needs_its_session_and_others_need_none(
    store: Store, sessions: WorkerSessions
) -> None:
    store.registered = {"mine/1": MINE, "earlier/1": ""}
    ids = ["mine/1", "earlier/1", "by-hand"]
    assert await sessions.foreign(ids, MINE) == set()
    assert await sessions.foreign(ids, OTHER) == {"mine/1"}
    assert await sessions.foreign(ids, "") == {"mine/1"}
    with pytest.raises(WorkerSessionWrong):
        await sessions.check("mine/1", OTHER)
    await sessions.check("mine/1", MINE)


async def test_the_store_is_asked_once_for_a_worker_and_again_for_ids_that_nobody_had(
    store: Store, sessions: WorkerSessions
) -> None:
    store.registered = {"mine/1": MINE}
    for _ in range(3):
        await sessions.foreign(["mine/1", "later/1"], MINE)
    assert store.asked == [["later/1", "mine/1"]]

    store.registered["later/1"] = OTHER
    store.now += UNREGISTERED_SECONDS
    assert await sessions.foreign(["mine/1", "later/1"], MINE) == {"later/1"}
    assert store.asked[1:] == [["later/1"]]


async def test_only_registered_workers_send_heartbeats(store: Store, sessions: WorkerSessions) -> None:
    with pytest.raises(WorkerNotRegistered):
        await sessions.check_registered("w/1", MINE)
    store.registered = {"w/1": MINE, "earlier/1": ""}
    await sessions.check_registered("w/1", MINE)
    await sessions.check_registered("earlier/1", "")
    with pytest.raises(WorkerSessionWrong):
        await sessions.check_registered("w/1", "")


async def test_made_up_ids_take_a_bounded_memory(
    store: Store, sessions: WorkerSessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_sessions, "MAX_KNOWN", 10)
    store.registered = {f"w/{number}": MINE for number in range(100)}
    for number in range(100):
        assert await sessions.foreign([f"w/{number}", f"made-up/{number}"], OTHER) == {f"w/{number}"}
        assert len(sessions._known) <= 10
        assert len(sessions._open_until) <= 12


async def test_each_update_in_the_name_of_another_is_refused_alone(
    store: Store, sessions: WorkerSessions
) -> None:
    store.registered = {"mine/1": MINE, "other/1": OTHER, "stopped/1": MINE}
    updates = {
        0: StatusUpdate(uuid4(), Status.PROCESSING, Claim("mine/1", 0), session=MINE),
        1: StatusUpdate(uuid4(), Status.COMPLETED, Token("other/1", 1), session=MINE),
        2: StatusUpdate(uuid4(), Status.COMPLETED, Token("by-hand", 1), session=MINE),
        3: StatusUpdate(uuid4(), Status.COMPLETED),
        4: StatusUpdate(uuid4(), Status.PROCESSING, Claim("stopped/1", 0), session=MINE),
        5: StatusUpdate(uuid4(), Status.PROCESSING, Claim("stopped/1", 0)),
    }
    refusals = await UpdatesOfWorkers(sessions, Stopped()).refusals(updates)
    assert {index: refusal.reason for index, refusal in refusals.items()} == {
        1: "WORKER_SESSION_WRONG",
        4: "WORKER_STOPPED",
        5: "WORKER_SESSION_WRONG",
    }
