"""The sessions of workers: only the process that registered under a worker_id may act in its name.

A worker chooses a secret, sends it with each call, and the API server stores its hash when the worker
registers. A worker_id that nobody has registered belongs to nobody: somebody claims and reports by hand.
"""

import time
from collections.abc import Callable, Collection, Mapping
from hmac import compare_digest

from api_server.domain.errors import WorkerNotRegistered, WorkerSessionWrong
from api_server.domain.status_update import StatusUpdate
from api_server.ports import SessionStore, UpdateRefusals
from contract_runtime.errors import ServiceError

MAX_KNOWN = 10_000
UNREGISTERED_SECONDS = 1.0
"""How long this server may take a worker_id for one that nobody has registered."""


class WorkerSessions:
    """Knows the sessions of the workers that call this server. A claim costs no read."""

    def __init__(self, store: SessionStore, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: monotonic seconds."""
        self._store = store
        self._clock = clock
        self._known: dict[str, str] = {}
        """The hashes of secrets, by worker_id. The hash of a worker_id never changes."""
        self._open_until: dict[str, float] = {}
        """Worker ids without a secret, and until when this server does not ask about them again."""

    async def foreign(self, worker_ids: Collection[str], session: str) -> set[str]:
        """The ids among `worker_ids` whose calls need another session. Raises StoreUnavailable."""
        now = self._clock()
        unknown = [
            each for each in worker_ids if each not in self._known and self._open_until.get(each, now) <= now
        ]
        if unknown:
            await self._look_up(unknown)
        return {each for each in worker_ids if not self._fits(each, session)}

    async def check(self, worker_id: str, session: str) -> None:
        """Raises WorkerSessionWrong, StoreUnavailable."""
        if await self.foreign([worker_id], session):
            raise WorkerSessionWrong(worker_id)

    async def check_registered(self, worker_id: str, session: str) -> None:
        """Raises WorkerNotRegistered, WorkerSessionWrong, StoreUnavailable."""
        if worker_id not in self._known and worker_id not in await self._look_up([worker_id]):
            raise WorkerNotRegistered(worker_id)
        if not self._fits(worker_id, session):
            raise WorkerSessionWrong(worker_id)

    def _fits(self, worker_id: str, session: str) -> bool:
        known = self._known.get(worker_id)
        return known is None or compare_digest(known, session)

    async def _look_up(self, worker_ids: Collection[str]) -> Mapping[str, str]:
        found = await self._store.sessions(worker_ids)
        if len(self._known) + len(worker_ids) > MAX_KNOWN:
            self._known.clear()
        if len(self._open_until) + len(worker_ids) > MAX_KNOWN:
            self._open_until.clear()
        until = self._clock() + UNREGISTERED_SECONDS
        for each in worker_ids:
            if session := found.get(each):
                self._known[each] = session
            else:
                self._open_until[each] = until
        return found


class UpdatesOfWorkers(UpdateRefusals):
    """Refuses updates in the name of a worker without its session, then what `others` refuses."""

    def __init__(self, sessions: WorkerSessions, others: UpdateRefusals) -> None:
        self._sessions = sessions
        self._others = others

    async def refusals(self, updates: Mapping[int, StatusUpdate]) -> Mapping[int, ServiceError]:
        """See the port."""
        by_session: dict[str, dict[str, list[int]]] = {}
        for index, update in updates.items():
            if update.guard is not None:
                workers = by_session.setdefault(update.session, {})
                workers.setdefault(update.guard.worker_id, []).append(index)
        refused: dict[int, ServiceError] = {}
        for session, workers in by_session.items():
            for worker_id in await self._sessions.foreign(workers, session):
                refused |= dict.fromkeys(workers[worker_id], WorkerSessionWrong(worker_id))
        if not refused:
            return await self._others.refusals(updates)
        allowed = {index: update for index, update in updates.items() if index not in refused}
        return {**refused, **await self._others.refusals(allowed)}
