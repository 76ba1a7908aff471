"""Lists with too many items are found in the bytes of a message, whatever else is in it."""

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from job_client._gen.jobs.v1 import fleet_service_pb2, job_service_pb2, log_pb2
from service_runtime.item_counts import MAX_FIELDS, counted_fields, too_many_items
from service_runtime.validation import ContractValidator
from tests.fuzz.wire import END_GROUP, START_GROUP, broken, field, stray_fields, tag

BatchCreate = job_service_pb2.BatchCreateRequest
Heartbeat = fleet_service_pb2.HeartbeatRequest
AppendLog = log_pb2.AppendLogRequest
ITEM = b"\x0a\x00"


def found_in(raw: bytes, message_type: type[Message] = BatchCreate) -> str:
    found = too_many_items(raw, counted_fields(message_type.DESCRIPTOR))
    return "" if found is None else found.field


def logs(attempts: int, entries: int) -> bytes:
    return AppendLog(
        worker_id="w", logs=[log_pb2.AttemptLog(entries=[log_pb2.LogEntry()] * entries)] * attempts
    ).SerializeToString()


def test_a_list_may_be_as_long_as_its_rule_allows() -> None:
    assert found_in(ITEM * 1000) == ""
    assert found_in(ITEM * 1001) == "requests"


def test_the_message_is_that_of_the_rule() -> None:
    found = too_many_items(ITEM * 1001, counted_fields(BatchCreate.DESCRIPTOR))

    assert found is not None
    assert found == ("requests", "max_items", "must have at most 1000 items, has more")
    assert ContractValidator().collect(BatchCreate.FromString(ITEM * 1001))[0][:2] == found[:2]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (logs(100, 200), ""),
        (logs(101, 0), "logs"),
        (logs(3, 200) + logs(1, 201), "logs[3].entries"),
        (logs(60, 0) + logs(60, 0), "logs"),
    ],
    ids=["in the limits", "the outer list", "an inner list", "a message in two pieces"],
)
def test_lists_inside_of_items_are_counted_for_each_item(raw: bytes, path: str) -> None:
    assert found_in(raw, AppendLog) == path


def test_the_pieces_of_a_part_are_counted_together() -> None:
    half = field(3, field(2, b"") * 200)

    assert found_in(half, Heartbeat) == ""
    assert found_in(half + half, Heartbeat) == "report.assignments"


def test_requests_without_lists_of_messages_are_not_searched() -> None:
    for message_type in (
        job_service_pb2.GetRequest,
        job_service_pb2.ListRequest,
        job_service_pb2.CreateRequest,
    ):
        assert counted_fields(message_type.DESCRIPTOR) == {}


def test_the_number_of_fields_is_bounded() -> None:
    unknown = tag(99, 0) + b"\x01"
    fields = counted_fields(BatchCreate.DESCRIPTOR)

    assert too_many_items(unknown * MAX_FIELDS, fields) is None
    found = too_many_items(unknown * (MAX_FIELDS + 1), fields)
    assert found is not None
    assert found.rule == "request.max_fields"


def test_the_largest_valid_requests_have_fewer_fields() -> None:
    ids = ["0198f0a0-0000-7000-8000-000000000001"] * 10_000
    progress = [fleet_service_pb2.JobProgress()] * 1000

    assert found_in(logs(100, 200), AppendLog) == ""
    assert found_in(Heartbeat(job_ids=ids, progress=progress).SerializeToString(), Heartbeat) == ""


@given(st.lists(stray_fields, max_size=3), st.lists(stray_fields, max_size=3), st.integers(990, 1010))
def test_unknown_fields_hide_no_item(before: list[bytes], after: list[bytes], count: int) -> None:
    raw = b"".join(before) + ITEM * count + b"".join(after)
    try:
        items = len(BatchCreate.FromString(raw).requests)
    except DecodeError:
        return
    if items > 1000:
        assert found_in(raw) == "requests"


def test_a_group_hides_no_item() -> None:
    group = tag(9, START_GROUP) + tag(9, END_GROUP)
    assert len(BatchCreate.FromString(group + ITEM * 1001).requests) == 1001

    assert found_in(group + ITEM * 1001) == "requests"


@given(st.data())
def test_what_the_rules_accept_is_accepted(data: st.DataObject) -> None:
    creates = st.builds(job_service_pb2.CreateRequest, id=st.text(), type=st.text())
    batches = st.lists(creates, max_size=5).map(lambda items: BatchCreate(requests=items))
    raw = data.draw(broken(batches))
    try:
        BatchCreate.FromString(raw)
    except DecodeError:
        return

    assert found_in(raw) == ""


@given(st.binary(max_size=60))
def test_any_bytes_come_to_an_end(raw: bytes) -> None:
    assert found_in(raw) == found_in(raw, AppendLog) == ""
