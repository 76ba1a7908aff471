"""What a request may take: bytes, items, and memory together with other requests."""

import tracemalloc
from contextlib import ExitStack

import pytest

from contract_runtime.errors import InvalidArgument
from contract_runtime.limits import SERVICES
from service_runtime.json_body import parse
from service_runtime.request_limits import SMALL, RequestLimits, RequestRoom, TooManyLargeRequests
from tests.fuzz.wire import field

MIB = 1024 * 1024
JOBS = "jobs.v1.JobService"
GET = RequestLimits.of(JOBS, "Get")
BATCH = RequestLimits.of(JOBS, "BatchCreate")
TEXT = field(99, b"x" * 2 * SMALL)


def rule_of(limits: RequestLimits, raw: bytes) -> str:
    """The rule that the request breaks; "" if none."""
    try:
        limits.check(raw)
    except InvalidArgument as error:
        [violation] = error.violations
        return violation.rule
    return ""


@pytest.mark.parametrize(
    ("method", "native", "json"),
    [("Get", 64 * 1024, 256 * 1024), ("Create", 2 * MIB, 4 * MIB), ("BatchCreate", 8 * MIB, 4 * MIB)],
)
def test_each_method_has_its_largest_request(method: str, native: int, json: int) -> None:
    for limits, least, most in (
        (RequestLimits.of(JOBS, method), native, native),
        (RequestLimits.of_json(JOBS, method), json, json + 4096),
    ):
        assert least <= limits.max_bytes <= most
        assert rule_of(limits, bytes(limits.max_bytes)) == ""
        assert rule_of(limits, bytes(limits.max_bytes + 1)) == "request.max_bytes"


def test_the_message_has_the_limit_and_the_size() -> None:
    with pytest.raises(InvalidArgument, match="at most 65536 bytes, has 65537"):
        GET.check(bytes(65537))


def test_services_that_are_not_of_the_contract_take_small_requests() -> None:
    assert RequestLimits.of("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo").max_bytes == SMALL


def test_no_method_takes_more_than_its_service() -> None:
    for service in SERVICES:
        for method in service.methods:
            assert RequestLimits.of(service.full_name, method.name).max_bytes <= 8 * MIB


def test_lists_are_counted_in_large_requests_only() -> None:
    # The rules of the contract refuse the short one, after it was decoded.
    assert rule_of(BATCH, b"\x0a\x00" * 1001) == ""
    assert rule_of(BATCH, b"\x0a\x00" * (SMALL // 2 + 1)) == "max_items"


def test_requests_share_the_memory_and_give_it_back() -> None:
    room = RequestRoom(max_bytes=2 * BATCH.memory(TEXT))
    with ExitStack() as both:
        both.enter_context(room.admit(TEXT, BATCH))
        both.enter_context(room.admit(TEXT, BATCH))
        with pytest.raises(TooManyLargeRequests) as caught, room.admit(TEXT, BATCH):
            pass
        assert caught.value.reason == "OVERLOADED"
        assert caught.value.retry_delay

    with room.admit(TEXT, BATCH), room.admit(TEXT, BATCH):
        pass


def test_small_requests_are_never_refused() -> None:
    room = RequestRoom(max_bytes=1)
    with room.admit(TEXT, BATCH), room.admit(bytes(SMALL), BATCH):
        pass


def test_one_request_above_the_memory_is_admitted_alone() -> None:
    with RequestRoom(max_bytes=1).admit(TEXT, BATCH):
        pass


def test_a_refused_request_takes_no_memory() -> None:
    room = RequestRoom(max_bytes=1)
    with pytest.raises(InvalidArgument), room.admit(TEXT, GET):
        pass

    with room.admit(TEXT, BATCH):
        pass


@pytest.mark.parametrize("unit", [b"{}", b"[]", b"1.5", b'{"a":1}', b'"text"', b'{"a":{"b":[1,2]}}'])
def test_parsed_json_takes_no_more_memory_than_was_counted(unit: bytes) -> None:
    body = b'{"a":[' + b",".join([unit] * 40_000) + b"]}"
    tracemalloc.start()
    try:
        parse(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak <= RequestLimits.of_json(JOBS, "BatchCreate").memory(body)
