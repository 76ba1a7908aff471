"""New jobs to the server: one alone as Create, several as one BatchCreate."""

from collections.abc import Sequence

import grpc

from job_client.errors import JobClientError, from_status
from job_client.job import Job, to_job
from job_client.new_job import Encoded
from jobs.v1.job_service_pb2 import DESCRIPTOR, BatchCreateResponse, CreateOutcome
from jobs.v1.job_service_pb2_grpc import JobServiceStub

BATCH_CREATE = f"/{DESCRIPTOR.services_by_name['JobService'].full_name}/BatchCreate"


class Creating:
    """Safe to send again, since each job comes with its id."""

    field = "requests"
    each_once = True

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = JobServiceStub(channel)
        # Takes bytes: the jobs are encoded already.
        self._batch_create: grpc.aio.UnaryUnaryMultiCallable[bytes, BatchCreateResponse] = (
            channel.unary_unary(BATCH_CREATE, response_deserializer=BatchCreateResponse.FromString)
        )

    async def send(self, contents: Sequence[Encoded], seconds: float) -> Sequence[Job | JobClientError]:
        """The jobs without their payloads. Raises AioRpcError."""
        if len(contents) == 1:
            return [
                to_job(await self._stub.Create(contents[0].request(), timeout=seconds), with_payload=False)
            ]
        answer = await self._batch_create(b"".join(each.wire for each in contents), timeout=seconds)
        return [_created(outcome) for outcome in answer.outcomes]


def _created(outcome: CreateOutcome) -> Job | JobClientError:
    return to_job(outcome.job) if outcome.HasField("job") else from_status(outcome.error)
