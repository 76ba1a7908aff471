"""The service on a real database, with a dispatcher that only keeps what it was told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.creation import DISPATCH_GRACE
from api_server.domain.job import Dispatch
from api_server.domain.status_update import Leases
from api_server.services.jobs import JobService

LEASES = Leases(worker=timedelta(seconds=15), unfenced=timedelta(hours=1))


class Offered:
    """Stands for the dispatcher: keeps what it was offered."""

    def __init__(self) -> None:
        self.offers: list[Dispatch] = []
        self.due_times: list[datetime] = []
        self.claims: list[UUID] = []
        self.withdrawals: list[UUID] = []
        self.grace = DISPATCH_GRACE

    def offer(self, dispatch: Dispatch, due_time: datetime) -> None:
        self.offers.append(dispatch)
        self.due_times.append(due_time)

    def claimed(self, job_ids: Sequence[UUID]) -> None:
        self.claims += job_ids

    def withdrawn(self, job_ids: Sequence[UUID]) -> None:
        self.withdrawals += job_ids


def service(stores: MongoStores, store: Any = None, offered: Offered | None = None) -> JobService:
    """Waits of its jobs are not spread."""
    return JobService(
        store or stores.jobs,
        stores.keys,
        stores.clock,
        offered or Offered(),
        ("compute",),
        LEASES,
        chance=lambda: 0.5,
    )
