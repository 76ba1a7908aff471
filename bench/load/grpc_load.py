"""Submits jobs over gRPC: one by one with many calls in flight, or in batches.

Each process of the API servers gets the same number of calls.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import cycle
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from bench.load.http2 import Http2Calls
from bench.load.submitted import Submitted
from bench.work import text
from job_client._gen.jobs.v1 import job_service_pb2

SERVICE = job_service_pb2.DESCRIPTOR.services_by_name["JobService"]
BATCH_CREATE = "BatchCreate"
TIMEOUT = 60.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024


def path_of(method: str) -> str:
    return f"/{SERVICE.full_name}/{method}"


def has_method(method: str) -> bool:
    """Whether the contract has this method."""
    return method in SERVICE.methods_by_name


def create_one_by_one(addresses: Sequence[str], first: int, jobs: int, in_flight: int) -> Submitted:
    """`in_flight`: calls to all addresses together. Raises CallFailed unless every job was accepted."""
    requests = [_request(number).SerializeToString() for number in range(first, first + jobs)]
    count = len(addresses)
    with ExitStack() as stack:
        servers = [stack.enter_context(closing(Http2Calls(each, path_of("Create")))) for each in addresses]
        threads = stack.enter_context(ThreadPoolExecutor(count))
        clock, cpu = time.perf_counter(), time.process_time()
        calls = [
            threads.submit(server.call, requests[nth::count], max(1, in_flight // count))
            for nth, server in enumerate(servers)
        ]
        for each in calls:
            each.result()
        return Submitted(jobs, time.perf_counter() - clock, time.process_time() - cpu)


def create_in_batches(
    addresses: Sequence[str], first: int, jobs: int, batch_size: int, in_flight: int
) -> Submitted:
    """Raises grpc.RpcError. The caller must read the jobs back to check that all were accepted."""
    message: Any = GetMessageClass(SERVICE.methods_by_name[BATCH_CREATE].input_type)
    numbers = range(first, first + jobs)
    requests = [
        message(requests=[_request(number) for number in part]).SerializeToString()
        for part in parts(numbers, batch_size)
    ]
    with ExitStack() as stack:
        servers = cycle([_batch_create(stack, each) for each in addresses])
        clock, cpu = time.perf_counter(), time.process_time()
        waiting: deque[Any] = deque()
        for request, server in zip(requests, servers, strict=False):
            if len(waiting) == in_flight:
                waiting.popleft().result()
            waiting.append(server.future(request, timeout=TIMEOUT))
        for answer in waiting:
            answer.result()
        return Submitted(jobs, time.perf_counter() - clock, time.process_time() - cpu)


def _batch_create(stack: ExitStack, address: str) -> Any:
    """The BatchCreate method of one server. The connection is closed with `stack`."""
    options = [("grpc.max_receive_message_length", MAX_ANSWER_BYTES)]
    channel = stack.enter_context(grpc.insecure_channel(address, options))
    grpc.channel_ready_future(channel).result(TIMEOUT)
    return channel.unary_unary(path_of(BATCH_CREATE))


def parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """`items` in parts of `size`. The last part may be smaller."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _request(number: int) -> job_service_pb2.CreateRequest:
    request = job_service_pb2.CreateRequest(type="compute")
    request.payload["input"] = text(number)
    return request
