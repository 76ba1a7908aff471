"""Moves jobs from one status to the next: claims, reports, and changes without a worker."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID, uuid4

from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Status
from api_server.domain.resolution import Applied
from api_server.domain.retry import UNTRIED, Tries
from api_server.domain.status_update import Leases, StatusUpdate, UpdateContext, to_transition
from api_server.domain.transition import Transition
from api_server.ports import Clock, Dispatcher, JobStore, UpdateRefusals
from api_server.services.batch_ids import check_each_once
from api_server.services.job_groups import JobGroups
from contract_runtime.errors import InvalidArgument, ServiceError


class StatusUpdates:
    """Turns updates into transitions, applies them, and tells the dispatcher which jobs were claimed."""

    def __init__(
        self,
        store: JobStore,
        groups: JobGroups,
        clock: Clock,
        dispatcher: Dispatcher,
        leases: Leases,
        forbidden: UpdateRefusals,
        chance: Callable[[], float],
    ) -> None:
        """`chance`: a number from 0 to 1, which spreads the next tries of jobs."""
        self._store = store
        self._groups = groups
        self._clock = clock
        self._dispatcher = dispatcher
        self._leases = leases
        self._forbidden = forbidden
        self._chance = chance

    async def apply_all(
        self, updates: Sequence[StatusUpdate | InvalidArgument], key: str | None = None
    ) -> list[Applied | ServiceError]:
        """Apply each update that is allowed. Returns outcomes in order; an error among the items stays.

        `key`: identifies claims without a worker's name, so that the same call may be sent again. Raises
        InvalidArgument if two items name the same job, and StoreUnavailable.
        """
        check_each_once([None if isinstance(each, InvalidArgument) else each.job_id for each in updates])
        outcomes: dict[int, Applied | ServiceError] = {
            index: each for index, each in enumerate(updates) if isinstance(each, InvalidArgument)
        }
        valid = {index: each for index, each in enumerate(updates) if isinstance(each, StatusUpdate)}
        transitions: dict[int, Transition] = {}
        context = UpdateContext(self._clock.now(), self._leases)
        tries = await self._tries(valid.values())
        for index, update in valid.items():
            try:
                transitions[index] = to_transition(update, self._context(update, context, tries, key))
            except InvalidArgument as error:
                outcomes[index] = error
        refusals = await self._forbidden.refusals({index: valid[index] for index in transitions})
        allowed = {index: each for index, each in transitions.items() if index not in refusals}
        applied = await self._apply(allowed, valid) if allowed else []
        self._tell_dispatcher(allowed.values(), applied)
        outcomes |= {**refusals, **dict(zip(allowed, applied, strict=True))}
        return [outcomes[index] for index in range(len(updates))]

    def _context(
        self, update: StatusUpdate, common: UpdateContext, tries: Mapping[UUID, Tries], key: str | None
    ) -> UpdateContext:
        """The context of the whole call, and what only this update needs."""
        if update.is_unfenced_claim:
            return replace(common, claim_id=key or uuid4().hex)
        if update.may_be_tried_again:
            return replace(common, tries=tries.get(update.job_id, UNTRIED), chance=self._chance())
        return common

    async def _tries(self, updates: Iterable[StatusUpdate]) -> Mapping[UUID, Tries]:
        """The tries of jobs whose reported failure may be tried again. All other updates cost no read."""
        failing = [update.job_id for update in updates if update.may_be_tried_again]
        return await self._store.tries(failing) if failing else {}

    async def _apply(
        self, transitions: Mapping[int, Transition], updates: Mapping[int, StatusUpdate]
    ) -> Sequence[Applied | ServiceError]:
        """Returns the outcomes in order. A single transition joins those of other calls that wait."""
        if len(transitions) > 1:
            return await self._store.apply(list(transitions.values()))
        [(index, transition)] = transitions.items()
        try:
            return [await self._groups.apply(transition, updates[index].result_size)]
        except StoreUnavailable:
            raise
        except ServiceError as error:
            return [error]

    def _tell_dispatcher(
        self, transitions: Iterable[Transition], outcomes: Sequence[Applied | ServiceError]
    ) -> None:
        started = [
            transition
            for transition, outcome in zip(transitions, outcomes, strict=True)
            if isinstance(outcome, Applied) and outcome.status is Status.PROCESSING
        ]
        self._dispatcher.jobs_claimed([each.job_id for each in started if not each.claim_id])
        # A claim without a worker's name did not come from reading the job's record.
        self._dispatcher.jobs_withdrawn([each.job_id for each in started if each.claim_id])
