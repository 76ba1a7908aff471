"""Everything that a worker reports fits into the contract's limits, in the contract's form."""

from typing import Any

from job_client._gen.jobs._validate import validate_pb2
from job_client._gen.jobs.v1.fleet_service_pb2 import HeartbeatRequest
from job_client._gen.jobs.v1.worker_pb2 import AssignedPartitions
from worker_service.bootstrap import INLINE_SLOTS
from worker_service.claiming.lanes import MAX_AHEAD, MAX_AHEAD_OF_REFUSALS
from worker_service.control.heartbeat import assigned_partitions
from worker_service.kafka.offsets import Partition
from worker_service.settings import WorkerSettings


def test_the_jobs_of_a_worker_whose_lanes_are_all_full_fit_into_one_heartbeat() -> None:
    fields = WorkerSettings.model_fields
    limits = [
        next(rule.le for rule in fields[name].metadata if hasattr(rule, "le"))
        for name in ("worker_concurrency", "worker_threads", "worker_processes")
    ]
    largest = sum(limit + MAX_AHEAD + MAX_AHEAD_OF_REFUSALS for limit in [*limits, INLINE_SLOTS])
    rules: Any = HeartbeatRequest.DESCRIPTOR.fields_by_name["job_ids"].GetOptions()

    assert largest <= rules.Extensions[validate_pb2.field].repeated.max_items


def test_assigned_partitions_are_reported_by_topic_in_order() -> None:
    told = assigned_partitions({Partition("b", 1), Partition("a", 2), Partition("a", 0)})

    assert told == [
        AssignedPartitions(topic="a", partitions=[0, 2]),
        AssignedPartitions(topic="b", partitions=[1]),
    ]
