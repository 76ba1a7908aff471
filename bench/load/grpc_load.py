"""Jobs over gRPC: one by one with many calls in flight, or in batches."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from bench.load.http2 import Http2Calls
from bench.load.submitted import Submitted
from bench.work import text
from jobs.v1 import job_service_pb2

SERVICE = job_service_pb2.DESCRIPTOR.services_by_name["JobService"]
BATCH_CREATE = "BatchCreate"
TIMEOUT = 60.0
LARGEST_ANSWER = 64 * 1024 * 1024


def path_of(method: str) -> str:
    return f"/{SERVICE.full_name}/{method}"


def has_method(method: str) -> bool:
    """Whether the contract has it."""
    return method in SERVICE.methods_by_name


def create_one_by_one(address: str, first: int, jobs: int, in_flight: int) -> Submitted:
    """Raises CallFailed unless every job was accepted."""
    requests = [_request(number).SerializeToString() for number in range(first, first + jobs)]
    with closing(Http2Calls(address, path_of("Create"))) as calls:
        clock, cpu = time.perf_counter(), time.process_time()
        calls.call(requests, in_flight)
        return Submitted(jobs, time.perf_counter() - clock, time.process_time() - cpu)


def create_in_batches(address: str, first: int, jobs: int, batch_size: int, in_flight: int) -> Submitted:
    """Raises grpc.RpcError. The caller checks that all items were accepted, by reading them back."""
    message: Any = GetMessageClass(SERVICE.methods_by_name[BATCH_CREATE].input_type)
    numbers = range(first, first + jobs)
    requests = [
        message(requests=[_request(number) for number in part]).SerializeToString()
        for part in parts(numbers, batch_size)
    ]
    with grpc.insecure_channel(address, [("grpc.max_receive_message_length", LARGEST_ANSWER)]) as channel:
        batch_create: Any = channel.unary_unary(path_of(BATCH_CREATE))
        grpc.channel_ready_future(channel).result(TIMEOUT)
        clock, cpu = time.perf_counter(), time.process_time()
        waiting: deque[Any] = deque()
        for request in requests:
            if len(waiting) == in_flight:
                waiting.popleft().result()
            waiting.append(batch_create.future(request, timeout=TIMEOUT))
        for answer in waiting:
            answer.result()
        return Submitted(jobs, time.perf_counter() - clock, time.process_time() - cpu)


def parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """`items` in parts of `size`, the last one perhaps smaller."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _request(number: int) -> job_service_pb2.CreateRequest:
    request = job_service_pb2.CreateRequest(type="compute")
    request.payload["input"] = text(number)
    return request
