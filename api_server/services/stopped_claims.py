"""Finds the claims that a stop of the fleet, of a type or of a worker forbids."""

from collections.abc import Mapping
from uuid import UUID

from api_server.domain.errors import ClaimStopped
from api_server.domain.status_update import Claim, StatusUpdate
from api_server.ports import DesiredFleet, LeaseStore, UpdateRefusals


class StoppedClaims(UpdateRefusals):
    """Compares claims with the desired state of the fleet. A claim costs no read while nothing is stopped."""

    def __init__(self, fleet: DesiredFleet, leases: LeaseStore) -> None:
        self._fleet = fleet
        self._leases = leases

    async def refusals(self, updates: Mapping[int, StatusUpdate]) -> Mapping[int, ClaimStopped]:
        """The refusals for forbidden claims, by the keys of `updates`. Raises StoreUnavailable.

        A claim of a job that the worker already holds is not refused: it was sent again after a lost answer.
        """
        claims = {
            index: (claim, update.job_id)
            for index, update in updates.items()
            if (claim := update.claim) is not None
        }
        if not claims:
            return {}
        desired = await self._fleet.desired()
        if not desired.stops_anything:
            return {}
        stopped = {
            index: ClaimStopped(reason, job_id)
            for index, (claim, job_id) in claims.items()
            if (reason := desired.stop_of(claim.worker_id, claim.expected_type)) is not None
        }
        held = await self._held([claims[index] for index in stopped])
        return {index: refusal for index, refusal in stopped.items() if claims[index][1] not in held}

    async def _held(self, claims: list[tuple[Claim, UUID]]) -> set[UUID]:
        """The jobs that one of the claiming workers holds."""
        held: set[UUID] = set()
        job_ids = [job_id for _, job_id in claims]
        for worker_id in {claim.worker_id for claim, _ in claims}:
            held |= await self._leases.still_held(worker_id, job_ids)
        return held
