"""Records that somebody else writes to the topics of jobs, through the real system.

A record is a hint that a job waits. It decides neither when the job runs nor what its handler receives.
"""

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from uuid_utils import uuid7

from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from local_stack.stack import Stack
from tests.e2e.jobs_api import create, get, jobs_client, wait_until_ended, worker_events, workers_client
from tests.integration.test_worker import Kafka

TOPIC = "jobs.compute"
TRUE, FORGED = {"input": "true"}, {"input": "forged"}


@pytest.fixture
def kafka(stack: Stack) -> Kafka:
    return Kafka(stack.address("kafka"))


def record(job_id: str, payload: dict[str, Any]) -> bytes:
    forged = DispatchRecord(id=job_id, type="compute", payload=dict_to_struct(payload), max_attempts=3)
    forged.timeout.FromSeconds(1)
    return forged.SerializeToString()


async def send_to_all_partitions(kafka: Kafka, value: bytes) -> None:
    partitions = await kafka.partitions(TOPIC)
    await asyncio.gather(*(kafka.send(TOPIC, [value], number) for _, number in partitions))


def post(client: httpx.Client, path: str) -> None:
    answer = client.post(path, json={"type": "compute"})
    assert answer.is_success, answer.text


async def test_a_record_does_not_start_a_job_before_its_time(stack: Stack, kafka: Kafka) -> None:
    with jobs_client(stack) as client:
        next_month = (datetime.now(UTC) + timedelta(days=30)).isoformat()
        job = create(client, "compute", TRUE, scheduleTime=next_month)

        await send_to_all_partitions(kafka, record(job["id"], TRUE))
        await kafka.wait_until_finished(TOPIC)

        assert get(client, job["id"]) == {name: job[name] for name in job if name != "warnings"}


async def test_a_job_runs_with_what_is_stored_though_a_forged_record_comes_first(
    stack: Stack, kafka: Kafka
) -> None:
    job_id = str(uuid7())
    with jobs_client(stack) as client, workers_client(stack) as control:
        post(control, "/stop")
        try:
            await send_to_all_partitions(kafka, record(job_id, FORGED))
            create(client, "compute", TRUE, id=job_id)
        finally:
            post(control, "/start")
        job = wait_until_ended(client, job_id)

    assert job["result"] == {"hash": hashlib.sha256(b"true").hexdigest()}
    assert (job["attempt"], job["payload"]) == (1, TRUE)
    assert worker_events(stack, job_id).count("record_not_used") == 1
    await kafka.wait_until_finished(TOPIC)
