"""Calls at the limits of size, depth and number, or a little above them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from contract_runtime.limits import MAX_REQUEST_BYTES
from job_client._gen.jobs.v1 import fleet_service_pb2, job_pb2, job_service_pb2, log_pb2, worker_pb2
from job_client._gen.jobs.v1.job_service_pb2 import ListRequest
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.fuzz.calls import METHODS, NativeCall, RestCall, ways
from tests.fuzz.examples import IDENTITY, REPORT
from tests.fuzz.roles import ABSENT_JOB, WORKER_ID, JobRole
from tests.fuzz.routes import ROUTES, Route
from tests.fuzz.settings import FUZZ
from tests.fuzz.structs import list_of, object_of
from tests.fuzz.wire import START_GROUP, deep_struct, field, tag
from tests.fuzz.world import MANY_INPUTS, World

MIB = 1024 * 1024
MAX_JSON = 4 * MIB
OTHERS_WAIT = 10.0
"""Seconds that other callers may have to wait meanwhile: these machines are small, and loaded."""

METHOD = {method.name: method for method in METHODS}
CREATE = next(route for route in ROUTES if route.method.name == "Create")
STATE = next(route for route in ROUTES if route.method.name == "GetState")
LIST = next(route for route in ROUTES if route.method.name == "List")


def create(**fields: Any) -> job_service_pb2.CreateRequest:
    return job_service_pb2.CreateRequest(type=UNWORKED, **fields)


def many(count: int, item: Value) -> Message:
    return create(payload=object_of({"l": list_of([item] * count)}))


def update(number: int) -> job_service_pb2.UpdateStatusRequest:
    return job_service_pb2.UpdateStatusRequest(
        id=f"{ABSENT_JOB[:-4]}{number:04}", status=job_pb2.Job.completed, result=object_of({})
    )


SLOW = ("1000 jobs to store", "a batch of 7 MiB")
MESSAGES: dict[str, tuple[str, Callable[[], Message]]] = {
    "a text of 7 MiB": (
        "Create",
        lambda: create(payload=object_of({"input": Value(string_value="x" * 7 * MIB)})),
    ),
    "a key of 900 KB": ("Create", lambda: create(payload=object_of({"k" * 900_000: Value(bool_value=True)}))),
    "60,000 numbers": ("Create", lambda: many(60_000, Value(number_value=0.1))),
    "500,000 nulls": ("Create", lambda: many(500_000, Value(null_value=0))),  # type: ignore[arg-type]
    "unset values": ("Create", lambda: many(500_000, Value())),
    "100,000 labels": (
        "Create",
        lambda: create(payload=object_of({}), labels={f"k{number}": "v" for number in range(100_000)}),
    ),
    "a type of 7 MiB": ("Create", lambda: job_service_pb2.CreateRequest(type="x" * 7 * MIB)),
    "1000 updates": (
        "BatchUpdateStatus",
        lambda: job_service_pb2.BatchUpdateStatusRequest(requests=[update(number) for number in range(1000)]),
    ),
    "100,000 updates": (
        "BatchUpdateStatus",
        lambda: job_service_pb2.BatchUpdateStatusRequest(requests=[update(0)] * 100_000),
    ),
    # The job is small, because the answer has it 1000 times and is built in the server's memory.
    "one job 1000 times": (
        "BatchGet",
        lambda: job_service_pb2.BatchGetRequest(ids=[JobRole.QUEUED.stand_in] * 1000),
    ),
    "1000 jobs to store": (
        "BatchCreate",
        lambda: job_service_pb2.BatchCreateRequest(requests=[create(payload=object_of({}))] * 1000),
    ),
    "a batch of 7 MiB": (
        "BatchCreate",
        lambda: job_service_pb2.BatchCreateRequest(
            requests=[create(payload=object_of({"s": Value(string_value="x" * 1_000_000)}))] * 7
        ),
    ),
    "10,000 jobs in flight": (
        "Heartbeat",
        lambda: fleet_service_pb2.HeartbeatRequest(
            worker_id=WORKER_ID, job_ids=[JobRole.HELD.stand_in] * 10_000, report=REPORT
        ),
    ),
    "200,000 jobs in flight": (
        "Heartbeat",
        lambda: fleet_service_pb2.HeartbeatRequest(worker_id=WORKER_ID, job_ids=[ABSENT_JOB] * 200_000),
    ),
    "the largest report": (
        "Heartbeat",
        lambda: fleet_service_pb2.HeartbeatRequest(
            worker_id=WORKER_ID,
            report=worker_pb2.WorkerReport(
                assignments=[
                    worker_pb2.AssignedPartitions(topic=f"{number:0249}", partitions=range(39))
                    for number in range(256)
                ]
            ),
        ),
    ),
    "1000 progress messages": (
        "Heartbeat",
        lambda: fleet_service_pb2.HeartbeatRequest(
            worker_id=WORKER_ID,
            report=REPORT,
            progress=[
                fleet_service_pb2.JobProgress(
                    job_id=JobRole.HELD.stand_in,
                    attempt=1,
                    progress=job_pb2.Progress(percent=number % 100, message="\u20ac" * 512),
                )
                for number in range(1000)
            ],
        ),
    ),
    "the longest logs": (
        "AppendLog",
        lambda: log_pb2.AppendLogRequest(
            worker_id=WORKER_ID,
            logs=[
                log_pb2.AttemptLog(
                    job_id=JobRole.HELD.stand_in,
                    attempt=1,
                    entries=[
                        log_pb2.LogEntry(
                            number=2**31 - 151 + number,
                            time=Timestamp(seconds=253402300799, nanos=999999999),
                            kind=log_pb2.LogEntry.trace,
                            logger="\u20ac" * 200,
                            message="\u20ac" * 16_000,
                        )
                        for number in range(150)
                    ],
                )
            ],
        ),
    ),
    "a million partitions": (
        "Heartbeat",
        lambda: fleet_service_pb2.HeartbeatRequest(
            worker_id=WORKER_ID,
            report=worker_pb2.WorkerReport(
                assignments=[worker_pb2.AssignedPartitions(partitions=range(10_000))] * 100
            ),
        ),
    ),
    "the longest names": (
        "RegisterWorker",
        lambda: fleet_service_pb2.RegisterWorkerRequest(
            worker=worker_pb2.WorkerIdentity(
                worker_id="\U0001f600" * 200,
                name="\U0001f600" * 128,
                host="\U0001f600" * 255,
                types=["\U0001f600" * 63] * 256,
            )
        ),
    ),
    "300,000 types": (
        "RegisterWorker",
        lambda: fleet_service_pb2.RegisterWorkerRequest(
            worker=worker_pb2.WorkerIdentity(worker_id=IDENTITY.worker_id, name="x", types=["t"] * 300_000)
        ),
    ),
    "schemas of the largest size": (
        "RegisterWorker",
        lambda: fleet_service_pb2.RegisterWorkerRequest(
            worker=IDENTITY,
            schemas=[
                fleet_service_pb2.HandlerSchema(
                    type="t", payload_schema='{"a":' * 6_000, result_schema="[" * 30_000
                )
            ]
            * 120,
        ),
    ),
    "100,000 labels as a filter": (
        "List",
        lambda: job_service_pb2.ListRequest(labels=[f"k{number}=v" for number in range(100_000)]),
    ),
}


def body(payload: str) -> str:
    return f'{{"type":"{UNWORKED}","payload":{payload}}}'


BODIES: dict[str, Callable[[], str]] = {
    "lists in lists": lambda: "[" * MAX_JSON,
    "lists in lists, closed": lambda: body('{"l":' + "[" * 2_000_000 + "]" * 2_000_000 + "}"),
    "objects in objects": lambda: body('{"d":' * 800_000),
    "one-digit numbers": lambda: body('{"l":[' + "1," * 2_000_000 + "1]}"),
    "a number of 4 million digits": lambda: body('{"n":' + "9" * 4_000_000 + "}"),
    "a fraction of 4 million digits": lambda: body('{"n":0.' + "3" * 4_000_000 + "}"),
    "escaped NULs": lambda: body('{"s":"' + r"\u0000" * 600_000 + '"}'),
    "escaped surrogates": lambda: body('{"s":"' + r"\ud800" * 600_000 + '"}'),
    "one key many times": lambda: body("{" + '"a":1,' * 600_000 + '"a":1}'),
    "many keys": lambda: body("{" + ",".join(f'"k{number}":""' for number in range(300_000)) + "}"),
    "unknown fields": lambda: "{" + ",".join(f'"u{number}":0' for number in range(300_000)) + "}",
    "white space": lambda: " " * (MAX_JSON - 2) + "{}",
}
TARGETS = {
    "a long path": f"/jobs/{'a' * 20_000}",
    "a path of dots": f"/jobs{'/..' * 6_000}/jobs/x",
    "a path of slashes": f"/jobs{'/' * 20_000}",
    "a path of percent signs": f"/jobs/{'%25' * 6_000}",
    "a path of verbs": f"/jobs/x{':cancel' * 2_000}",
    "many labels": f"/jobs?{'labels=a%3Db&' * 1_500}",
    "many parameters": f"/jobs?{'x=1&' * 5_000}",
    "a long page token": f"/jobs?pageToken={'A' * 20_000}",
    "a path longer than headers may be": f"/jobs/{'a' * 30_000}",
}
SMALL = 10_000
SMALL_INVALID_MESSAGES = (
    b"\xff" * SMALL,
    b"\0" * SMALL,
    field(1000, b"x" * SMALL),
    tag(1, START_GROUP) * SMALL,
    field(3, deep_struct(2000)),
)
LARGE_INVALID_MESSAGES = (
    b"\xff" * MAX_REQUEST_BYTES,
    b"\xff" * (MAX_REQUEST_BYTES + 1),
    b"\0" * MAX_REQUEST_BYTES,
    field(1000, b"x" * (MAX_REQUEST_BYTES - 10)),
    tag(1, START_GROUP) * MIB,
)
JSON = (b"content-type", b"application/json")


def native(method: MethodDescriptor, raw: bytes) -> NativeCall:
    return NativeCall(method, raw, ways(method)[0])


def rest(route: Route, *, target: str = "", content: bytes = b"", key: bytes | None = None) -> RestCall:
    headers = (JSON,) if key is None else (JSON, (b"idempotency-key", key))
    target = target or route.template.replace("{id}", ABSENT_JOB)
    return RestCall(
        route.method.containing_service, route.verb, target.encode(), headers, content, route.method
    )


@pytest.fixture(autouse=True)
async def others_are_served(stack: Stack) -> AsyncIterator[None]:
    """During each test the calls of another caller must be answered in time."""
    done = asyncio.Event()

    async def call_repeatedly() -> None:
        async with grpc.aio.insecure_channel(stack.endpoints.jobs_address) as channel:
            stub: Any = JobServiceStub(channel)
            while not done.is_set():
                await stub.List(ListRequest(page_size=1), timeout=OTHERS_WAIT)
                await asyncio.sleep(0.1)

    calling = asyncio.create_task(call_repeatedly())
    yield
    done.set()
    await calling


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else []) for name in MESSAGES]
)
async def test_a_large_message(world: World, name: str) -> None:
    method, make = MESSAGES[name]
    await world.play([native(METHOD[method], make().SerializeToString())])


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_bytes_that_are_not_a_message(world: World, method: MethodDescriptor) -> None:
    """Most methods have the same size, so only the first one gets all large messages.

    The others get a third of them each. With MANY_INPUTS, all get all.
    """
    gets_all = method.index == 0 or FUZZ.inputs >= MANY_INPUTS
    large = LARGE_INVALID_MESSAGES if gets_all else LARGE_INVALID_MESSAGES[method.index % 3 :: 3]
    await world.play([native(method, raw) for raw in (*SMALL_INVALID_MESSAGES, *large)])


@pytest.mark.parametrize("count", [240, 270])
@pytest.mark.slow
async def test_more_workers_than_fit_into_one_answer(world: World, count: int) -> None:
    await world.crowd(worker_pb2.WorkerIdentity(types=["t" * 63] * 256), count)  # 17 KB each
    await world.play([native(METHOD["GetFleet"], b""), native(METHOD["GetState"], b""), rest(STATE)])


@pytest.mark.parametrize("name", BODIES)
async def test_a_large_body(world: World, name: str) -> None:
    await world.play([rest(CREATE, content=BODIES[name]().encode())])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.method.name)
async def test_a_body_of_the_largest_size_and_a_larger_one(world: World, route: Route) -> None:
    for size in (MAX_JSON, MAX_JSON + 1):
        await world.play([rest(route, content=b" " * (size - 2) + b"{}")])


@pytest.mark.parametrize("name", TARGETS)
async def test_a_large_path_or_query(world: World, name: str) -> None:
    await world.play([rest(LIST, target=TARGETS[name])])


@pytest.mark.parametrize("size", [256, 20_000, 30_000])
async def test_a_large_idempotency_key(world: World, size: int) -> None:
    await world.play([rest(CREATE, content=body("{}").encode(), key=b"k" * size)])
