"""Jobs from the server: one alone by Get, several by one BatchGet."""

from collections.abc import Sequence

import grpc

from job_client.errors import JobClientError, not_found
from jobs.v1.job_pb2 import Job
from jobs.v1.job_service_pb2 import BatchGetRequest, GetRequest
from jobs.v1.job_service_pb2_grpc import JobServiceStub


class Reading:
    """Safe to send again. What is together larger than an answer may be, is refused and asked for in halves."""

    field = "ids"
    each_once = False

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = JobServiceStub(channel)

    async def send(self, contents: Sequence[str], seconds: float) -> Sequence[Job | JobClientError]:
        """The jobs as they came: one that has not ended need not be decoded by who waits for it. Raises AioRpcError."""
        ids = list(dict.fromkeys(contents))
        if len(ids) == 1:
            job = await self._stub.Get(GetRequest(id=ids[0]), timeout=seconds)
            return [job] * len(contents)
        answer = await self._stub.BatchGet(BatchGetRequest(ids=ids), timeout=seconds)
        found = {job.id: job for job in answer.jobs}
        return [found.get(job_id) or not_found(job_id) for job_id in contents]
