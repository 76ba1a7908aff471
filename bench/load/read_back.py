"""Reads all results through the API, after the measurement."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from bench.load.grpc_load import MAX_ANSWER_BYTES, SERVICE, has_method, parts, path_of
from bench.load.http2 import Http2Calls
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2

BATCH_GET = "BatchGet"
BATCH = 1000


def read_back(address: str, ids: Sequence[str], *, in_batches: bool = True) -> Iterator[tuple[str, str]]:
    """The text and the hash of each job.

    Reads by BatchGet if the contract has it and `in_batches` is true, else by Get.
    """
    jobs = _batch_get(address, ids) if in_batches and has_method(BATCH_GET) else _get(address, ids)
    for job in jobs:
        done = job.status == job_pb2.Job.completed
        yield (
            str(job.payload["input"]),
            str(job.result["hash"]) if done else job_pb2.Job.Status.Name(job.status),
        )


def _get(address: str, ids: Sequence[str]) -> Iterator[job_pb2.Job]:
    requests = [job_service_pb2.GetRequest(id=job_id).SerializeToString() for job_id in ids]
    with closing(Http2Calls(address, path_of("Get"))) as calls:
        for answer in calls.call(requests, in_flight=64):
            yield job_pb2.Job.FromString(answer)


def _batch_get(address: str, ids: Sequence[str]) -> Iterator[job_pb2.Job]:
    method = SERVICE.methods_by_name[BATCH_GET]
    request: Any = GetMessageClass(method.input_type)
    answer: Any = GetMessageClass(method.output_type)
    with grpc.insecure_channel(address, [("grpc.max_receive_message_length", MAX_ANSWER_BYTES)]) as channel:
        batch_get = channel.unary_unary(path_of(BATCH_GET), request.SerializeToString, answer.FromString)
        for part in parts(ids, BATCH):
            yield from batch_get(request(ids=part), timeout=30).jobs
