"""How operations, and the filters of BulkCancel and BulkRetry, are converted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.job import Status
from api_server.domain.listing import JobCount, JobFilter
from api_server.domain.operation import MAX_REFUSALS, Kind, Operation, Refusal, State
from api_server.feed.watches import End
from api_server.rpc import requests
from api_server.rpc.answers import MAX_ANSWER_BYTES
from api_server.rpc.operation_servicer import (
    OperationServicer,
    operation_message,
    preview_message,
    watch_response,
)
from api_server.services.watch_events import Heartbeat
from contract_runtime.errors import InvalidArgument
from job_client._gen.jobs._validate import validate_pb2
from job_client._gen.jobs.v1 import job_service_pb2
from service_runtime.validation import ContractValidator

ID = UUID("0198f0a0-0000-7000-8000-000000000001")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIST_REQUEST, JOB_FILTER = job_service_pb2.ListRequest, job_service_pb2.JobFilter
validator = ContractValidator()

times = st.none() | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(  # noqa: DTZ001 - made aware
    lambda time: time.replace(tzinfo=UTC)
)
filters = st.builds(
    JobFilter,
    st.frozensets(st.sampled_from(Status)),
    st.frozensets(st.sampled_from(["compute", "data"])),
    st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["", "1", "x=y"])),
    st.frozensets(st.sampled_from(["c", "d"])),
    st.frozensets(st.sampled_from(["TIMEOUT", "EXPIRED"])),
    st.frozensets(st.sampled_from(["w/1", "w/2"])),
    times,
    times,
    times,
    times,
)


def operation_of(**fields: Any) -> Operation:
    matched = JobCount(7, is_capped=True)
    operation = Operation(ID, Kind.BULK_CANCEL, JobFilter(), "why", NOW, NOW, matched)
    return replace(operation, **fields)


@given(st.sampled_from(Kind), filters)
def test_an_operation_shows_the_filter_of_its_request(kind: Kind, wanted: JobFilter) -> None:
    message = preview_message(kind, wanted, "", JobCount(0, is_capped=False))
    assert requests.job_filter(message.filter) == wanted
    if wanted != JobFilter():
        validator.check(message.filter)


def test_an_operation_is_shown_with_its_progress() -> None:
    refusal = Refusal(ID, "JOB_TERMINAL", "it has ended")
    later = NOW + timedelta(seconds=1)
    message = operation_message(
        operation_of(state=State.FINISHED, end_time=later, changed=3, refused=1, refusals=(refusal,))
    )
    assert (message.id, message.reason, message.changed, message.refused) == (str(ID), "why", 3, 1)
    assert (message.matched, message.matched_capped) == (7, True)
    assert message.state == job_service_pb2.Operation.finished
    assert message.end_time.ToDatetime(UTC) == later
    assert [(each.job_id, each.reason, each.message) for each in message.refusals] == [
        (str(ID), "JOB_TERMINAL", "it has ended")
    ]
    assert not operation_message(operation_of()).HasField("end_time")


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_the_contracts_name(kind: Kind) -> None:
    assert preview_message(kind, JobFilter(), "", JobCount(0, is_capped=False)).kind


@pytest.mark.parametrize("state", State)
def test_every_state_has_the_contracts_name(state: State) -> None:
    assert operation_message(operation_of(state=state)).state


def test_the_largest_operation_fits_into_an_answer() -> None:
    refusals = (Refusal(ID, "R" * 63, "m" * 1000),) * MAX_REFUSALS
    assert operation_message(operation_of(refusals=refusals)).ByteSize() < MAX_ANSWER_BYTES


def test_a_filter_has_the_fields_and_the_rules_of_a_list() -> None:
    for field in JOB_FILTER.DESCRIPTOR.fields:
        listed = LIST_REQUEST.DESCRIPTOR.fields_by_name[field.name]
        assert field.type == listed.type
        rules = [each.GetOptions().Extensions[validate_pb2.field] for each in (field, listed)]
        assert rules[0] == rules[1], field.name


@pytest.mark.parametrize(
    "request_type", [job_service_pb2.BulkCancelRequest, job_service_pb2.BulkRetryRequest]
)
def test_a_filter_needs_a_condition(request_type: Any) -> None:
    with pytest.raises(InvalidArgument, match="filter: value is required"):
        validator.check(request_type())
    with pytest.raises(InvalidArgument, match="filter: must have at least one condition"):
        validator.check(request_type(filter=JOB_FILTER()))
    stamp = Timestamp(seconds=1)
    for condition in (
        {"statuses": [1]},
        {"types": ["t"]},
        {"labels": ["a=1"]},
        {"label_keys": ["a"]},
        {"error_reasons": ["R"]},
        {"worker_ids": ["w"]},
        {"create_time_from": stamp},
        {"create_time_before": stamp},
        {"end_time_from": stamp},
        {"end_time_before": stamp},
    ):
        fields: Any = condition
        validator.check(request_type(filter=JOB_FILTER(**fields)))


async def test_an_error_names_the_field_inside_the_filter() -> None:
    nothing: Any = None
    request = job_service_pb2.BulkCancelRequest(filter=JOB_FILTER(labels=["a=1", "a=2"]))
    with pytest.raises(InvalidArgument) as caught:
        await OperationServicer(nothing, nothing).BulkCancel(request, None)
    assert [each.field for each in caught.value.violations] == ["filter.labels[1]"]


async def test_only_the_final_state_of_a_watch_has_the_refusals() -> None:
    operation = operation_of(refused=1, refusals=(Refusal(ID, "JOB_TERMINAL", "has ended"),))
    for state, count in ((State.RUNNING, 0), (State.FINISHED, 1), (State.CANCELLED, 1)):
        response = await watch_response(replace(operation, state=state))
        assert (response.operation.refused, len(response.operation.refusals)) == (1, count)
    assert (await watch_response(End.OPERATION_ENDED)).ended.reason == "OPERATION_ENDED"
    assert (await watch_response(Heartbeat())).HasField("heartbeat")
