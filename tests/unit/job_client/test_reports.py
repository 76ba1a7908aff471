"""The reports have every field of the contract's messages, with its value."""

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from contract_runtime.structs import dict_to_struct
from job_client import reports
from job_client._gen.jobs.v1 import (
    explain_pb2,
    job_service_pb2,
    job_types_pb2,
    log_pb2,
    stats_pb2,
    worker_pb2,
    worker_service_pb2,
)
from job_client.decode import decode

MESSAGES: dict[type[Any], type[Any]] = {
    reports.Stats: stats_pb2.StatsResponse,
    reports.TypeStats: stats_pb2.TypeStats,
    reports.MinuteStats: stats_pb2.MinuteStats,
    reports.Activity: stats_pb2.Activity,
    reports.Latency: stats_pb2.Latency,
    reports.JobType: job_types_pb2.JobType,
    reports.Explanation: explain_pb2.ExplainResponse,
    reports.Cause: explain_pb2.ExplainResponse.Cause,
    reports.Log: log_pb2.GetLogResponse,
    reports.LogEntry: log_pb2.LogEntry,
    reports.Operation: job_service_pb2.Operation,
    reports.Filter: job_service_pb2.JobFilter,
    reports.Refusal: job_service_pb2.Refusal,
    reports.Fleet: worker_service_pb2.GetStateResponse,
    reports.FleetChange: worker_service_pb2.StopResponse,
    reports.Worker: worker_pb2.Worker,
    reports.WorkerIdentity: worker_pb2.WorkerIdentity,
    reports.WorkerReport: worker_pb2.WorkerReport,
    reports.AssignedPartitions: worker_pb2.AssignedPartitions,
}


def test_each_report_stands_for_a_message() -> None:
    assert set(MESSAGES) == {each for each in vars(reports).values() if is_dataclass(each)}


@pytest.mark.parametrize("kind", MESSAGES)
def test_a_report_has_every_field_of_its_message(kind: type[Any]) -> None:
    assert [field.name for field in fields(kind)] == [
        field.name for field in MESSAGES[kind].DESCRIPTOR.fields
    ]


@pytest.mark.parametrize("kind", MESSAGES)
def test_an_empty_message_is_decoded(kind: type[Any]) -> None:
    assert isinstance(decode(MESSAGES[kind](), kind), kind)


def test_values_are_times_durations_words_and_reports() -> None:
    message = explain_pb2.ExplainResponse(
        reason=explain_pb2.ExplainResponse.no_worker,
        other_causes=[explain_pb2.ExplainResponse.Cause(message="x")],
        next_time=Timestamp(seconds=1),
        ahead=0,
    )
    report = decode(message, reports.Explanation)
    assert (report.reason, report.ahead) == ("no_worker", 0)
    assert report.other_causes == (reports.Cause("unspecified", "x"),)
    assert report.next_time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    stats = decode(stats_pb2.TypeStats(oldest_waiting=Duration(seconds=90)), reports.TypeStats)
    schema = dict_to_struct({"type": "object", "required": ["input"]})
    job_type = decode(job_types_pb2.JobType(payload_schema=schema), reports.JobType)
    assert job_type.payload_schema == {"type": "object", "required": ["input"]}
    assert job_type.result_schema is None
    assert (stats.oldest_waiting, stats.last_hour) == (timedelta(minutes=1.5), None)
