"""Opens all stores in MongoDB together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api_server.adapters.mongo.activity import MongoActivityStore
from api_server.adapters.mongo.change_stream import MongoChangeStream
from api_server.adapters.mongo.client import Client, open_client, open_stream_client
from api_server.adapters.mongo.clock import MongoClock
from api_server.adapters.mongo.collections import (
    ACTIVITY,
    ELECTIONS,
    FLEET,
    HANDLER_SCHEMAS,
    IDEMPOTENCY_KEYS,
    JOB_LOGS,
    JOB_TYPES,
    JOBS,
    LEADER_LEASES,
    OPERATIONS,
    WORKERS,
    rename_collections,
)
from api_server.adapters.mongo.due import MongoDueStore, MongoLeaderLease
from api_server.adapters.mongo.fleet import MongoFleetStore
from api_server.adapters.mongo.handler_schemas import MongoSchemaStore
from api_server.adapters.mongo.hint_stream import MongoHintStream
from api_server.adapters.mongo.idempotency_keys import MongoKeyStore
from api_server.adapters.mongo.indexes import create_indexes
from api_server.adapters.mongo.inspection import MongoJobInspection
from api_server.adapters.mongo.job_counts import MongoJobCounts
from api_server.adapters.mongo.job_logs import MongoJobLogStore
from api_server.adapters.mongo.job_types import MongoJobTypeStore
from api_server.adapters.mongo.jobs import MongoJobStore
from api_server.adapters.mongo.member_clocks import MemberClocks
from api_server.adapters.mongo.notifications import MongoUnnotifiedStore
from api_server.adapters.mongo.operations import MongoOperationStore
from api_server.adapters.mongo.primary import Primary
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.retention import set_retention
from api_server.adapters.mongo.unfinished import MongoUnfinishedJobs
from api_server.adapters.mongo.workers import MongoWorkerStore
from api_server.adapters.mongo.writes import Writes
from api_server.domain.retention import KEEP_ALL, Retention

DUE_LEASE = "due"
"""The name of the lease of the server that looks after due jobs."""


@dataclass(frozen=True, slots=True)
class MongoStores:
    """One adapter for each port. They share one connection pool."""

    client: Client
    clock: MongoClock
    jobs: MongoJobStore
    inspection: MongoJobInspection
    job_logs: MongoJobLogStore
    job_types: MongoJobTypeStore
    changes: MongoChangeStream
    hints: MongoHintStream
    counts: MongoJobCounts
    activity: MongoActivityStore
    due: MongoDueStore
    due_lease: MongoLeaderLease
    keys: MongoKeyStore
    fleet: MongoFleetStore
    workers: MongoWorkerStore
    operations: MongoOperationStore
    unfinished: MongoUnfinishedJobs
    unnotified: MongoUnnotifiedStore
    schemas: MongoSchemaStore

    async def ping(self) -> None:
        """Raises StoreUnavailable unless the primary answers.

        The answer also sets the clock, so that a jump is noticed soon.
        """
        await self.clock.refresh()


@asynccontextmanager
async def connect(uri: str, database: str, retention: Retention = KEEP_ALL) -> AsyncIterator[MongoStores]:
    """The stores in `database`, collections renamed, indexes created and clock running. Raises
    StoreUnavailable if MongoDB does not answer.

    `retention`: how long jobs are kept after their end.

    On exit, waits at most 8 s for writes that are under way, then closes the connections.
    """
    async with open_client(uri) as client, open_stream_client(uri) as stream_client:
        primary = Primary(client)
        writes = Writes(lambda: primary.lag)
        clock = MongoClock(primary.read_time)
        await clock.start()
        comparing = asyncio.create_task(MemberClocks(client, clock).watch())
        try:
            collections = client[database]
            await rename_collections(collections)
            await create_indexes(collections)
            await set_retention(collections, retention)
            reads = Reads(client, collections[ELECTIONS], writes)
            jobs = collections[JOBS]
            yield MongoStores(
                client=client,
                clock=clock,
                jobs=MongoJobStore(jobs, reads, writes),
                inspection=MongoJobInspection(jobs, reads),
                job_logs=MongoJobLogStore(collections[JOB_LOGS], jobs, reads, writes),
                job_types=MongoJobTypeStore(collections[JOB_TYPES], reads, writes),
                changes=MongoChangeStream(stream_client, database),
                hints=MongoHintStream(stream_client, database),
                counts=MongoJobCounts(jobs),
                activity=MongoActivityStore(collections[ACTIVITY], jobs, writes),
                due=MongoDueStore(jobs, writes),
                due_lease=MongoLeaderLease(collections[LEADER_LEASES], DUE_LEASE, writes),
                keys=MongoKeyStore(collections[IDEMPOTENCY_KEYS], writes),
                fleet=MongoFleetStore(collections[FLEET], reads, writes),
                workers=MongoWorkerStore(collections[WORKERS], reads, writes, clock),
                operations=MongoOperationStore(collections[OPERATIONS], reads, writes),
                unfinished=MongoUnfinishedJobs(jobs, reads),
                unnotified=MongoUnnotifiedStore(jobs, reads, writes),
                schemas=MongoSchemaStore(
                    collections[HANDLER_SCHEMAS], collections[WORKERS], reads, writes, clock
                ),
            )
        finally:
            await writes.drain()
            comparing.cancel()
            await asyncio.wait([comparing])
            await clock.stop()
