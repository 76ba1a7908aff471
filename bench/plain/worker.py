"""python -m bench.plain.worker API_SERVER KAFKA READY_FILE

Handles one message at a time and commits its offset afterwards.
"""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
from aiokafka import AIOKafkaConsumer

from bench.plain.server import TOPIC
from bench.work import digest
from job_client._gen.jobs.v1 import dispatch_pb2, job_pb2, job_service_pb2
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub

if TYPE_CHECKING:
    # Exists only in the stubs for type checkers.
    from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceAsyncStub


async def work(api_server: str, kafka: str, ready: Path) -> None:
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=kafka,
        group_id="plain-workers",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with grpc.aio.insecure_channel(api_server) as channel, consumer:
        stub: JobServiceAsyncStub = JobServiceStub(channel)
        ready.touch()  # noqa: ASYNC240 - called once, before the event loop has other work
        async for message in consumer:
            await handle(stub, dispatch_pb2.DispatchRecord.FromString(message.value))
            await consumer.commit()


async def handle(stub: "JobServiceAsyncStub", record: dispatch_pb2.DispatchRecord) -> None:
    await stub.UpdateStatus(job_service_pb2.UpdateStatusRequest(id=record.id, status=job_pb2.Job.processing))
    report = job_service_pb2.UpdateStatusRequest(id=record.id, status=job_pb2.Job.completed)
    report.result["hash"] = digest(str(record.payload["input"]))
    await stub.UpdateStatus(report)


if __name__ == "__main__":
    address, kafka_servers, ready_file = sys.argv[1:]
    asyncio.run(work(address, kafka_servers, Path(ready_file)))
