"""python -m bench.plain.server PORT MONGODB_URI KAFKA

Serves Create, Get and UpdateStatus, one job per call.
"""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import grpc
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from motor.motor_asyncio import AsyncIOMotorClient

from job_client._gen.jobs.v1 import dispatch_pb2, job_pb2, job_service_pb2
from local_stack.settings import HOST

TOPIC = "jobs.compute"
PARTITIONS = 12
# The status before each status.
PREVIOUS = {"processing": "queued", "completed": "processing", "failed": "processing"}

Context = grpc.aio.ServicerContext[Any, Any]


class PlainService:
    def __init__(self, jobs: Any, producer: AIOKafkaProducer) -> None:
        self._jobs = jobs
        self._producer = producer

    async def create(self, request: job_service_pb2.CreateRequest, _: Context) -> job_pb2.Job:
        now = datetime.now(UTC)
        document = {
            "_id": uuid4(),
            "type": request.type,
            "status": "queued",
            "payload": MessageToDict(request.payload),
            "create_time": now,
            "update_time": now,
        }
        await self._jobs.insert_one(document)
        record = dispatch_pb2.DispatchRecord(
            id=str(document["_id"]), type=request.type, payload=request.payload
        )
        await self._producer.send_and_wait(TOPIC, record.SerializeToString())
        return to_message(document)

    async def get(self, request: job_service_pb2.GetRequest, context: Context) -> job_pb2.Job:
        document = await self._jobs.find_one({"_id": UUID(request.id)})
        if document is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such job")
        return to_message(document)

    async def update_status(
        self, request: job_service_pb2.UpdateStatusRequest, context: Context
    ) -> job_pb2.Job:
        status = job_pb2.Job.Status.Name(request.status)
        change: dict[str, Any] = {"status": status, "update_time": datetime.now(UTC)}
        if request.HasField("result"):
            change["result"] = MessageToDict(request.result)
        document = await self._jobs.find_one_and_update(
            {"_id": UUID(request.id), "status": PREVIOUS[status]}, {"$set": change}, return_document=True
        )
        if document is None:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the job is not in that status")
        return to_message(document)


def handlers(service: PlainService) -> grpc.GenericRpcHandler:
    """Handlers for the three methods of the contract that this server has."""
    calls: dict[str, tuple[Any, Any]] = {
        "Create": (service.create, job_service_pb2.CreateRequest),
        "Get": (service.get, job_service_pb2.GetRequest),
        "UpdateStatus": (service.update_status, job_service_pb2.UpdateStatusRequest),
    }
    return grpc.method_handlers_generic_handler(
        "jobs.v1.JobService",
        {
            name: grpc.unary_unary_rpc_method_handler(call, request.FromString, job_pb2.Job.SerializeToString)
            for name, (call, request) in calls.items()
        },
    )


def to_message(document: dict[str, Any]) -> job_pb2.Job:
    job = job_pb2.Job(
        id=str(document["_id"]),
        type=document["type"],
        status=job_pb2.Job.Status.Value(document["status"]),
        create_time=document["create_time"],
        update_time=document["update_time"],
    )
    job.payload.update(document["payload"])
    if "result" in document:
        job.result.update(document["result"])
    return job


async def create_topic(kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    finally:
        await admin.close()


async def serve(port: str, mongodb: str, kafka: str) -> None:
    await create_topic(kafka)
    client: Any = AsyncIOMotorClient(mongodb, w="majority", uuidRepresentation="standard", tz_aware=True)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all")
    await producer.start()
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handlers(PlainService(client.jobs.jobs, producer)),))
    status = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(status, server)
    server.add_insecure_port(f"{HOST}:{port}")
    await server.start()
    await status.set("", health_pb2.HealthCheckResponse.SERVING)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
