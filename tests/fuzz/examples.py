"""Example requests that are accepted. Inputs of the fuzz tests are these examples with some fields changed.

A message without an example is made from its descriptor alone, and its fields rarely fit together.
"""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import (
    explain_pb2,
    fleet_service_pb2,
    job_pb2,
    job_service_pb2,
    log_pb2,
    worker_pb2,
)
from tests.conftest import UNWORKED
from tests.fuzz.roles import (
    ABSENT_JOB,
    NEW_IDS,
    OPERATION,
    PAGE_TOKEN,
    WORKER_ID,
    WORKER_NAME,
    JobRole,
)
from tests.fuzz.scalars import NOW

ID = {role: role.stand_in for role in JobRole}
STATUS = job_pb2.Job
CLAIM = job_service_pb2.Claim(worker_id=WORKER_ID, expected_type=UNWORKED)
TOKEN = job_service_pb2.Token(worker_id=WORKER_ID, attempt=1)
ERROR = job_pb2.JobError(code=13, message="it broke", reason="BROKEN")
IN_AN_HOUR = Timestamp(seconds=NOW + 3600)


def payload(text: str) -> Struct:
    return dict_to_struct({"input": text})


CREATIONS = [
    job_service_pb2.CreateRequest(type="compute", payload=payload("a")),
    job_service_pb2.CreateRequest(id=NEW_IDS[0], type="compute", payload=payload("a"), labels={"team": "a"}),
    job_service_pb2.CreateRequest(id=NEW_IDS[1], type=UNWORKED, payload=payload("b"), labels={"team": "b"}),
    job_service_pb2.CreateRequest(id=ID[JobRole.QUEUED], type=UNWORKED, payload=payload("")),
    job_service_pb2.CreateRequest(
        type=UNWORKED,
        payload=payload("c"),
        retry_policy=job_pb2.RetryPolicy(max_attempts=5, max_backoff=Duration(seconds=1), jitter=0.5),
        schedule_time=IN_AN_HOUR,
        expire_time=Timestamp(seconds=NOW + 7200),
        timeout=Duration(seconds=5),
    ),
    job_service_pb2.CreateRequest(
        type="data", payload=dict_to_struct({"records": [{"a": 1}, {"a": None, "$ref": 2}]})
    ),
    job_service_pb2.CreateRequest(type="file", payload=dict_to_struct({"path": "haiku.txt"})),
    job_service_pb2.CreateRequest(type="blockchain", payload=dict_to_struct({"transactions": ["ab" * 32]})),
]
UNKNOWN_TYPE = job_service_pb2.CreateRequest(id=NEW_IDS[2], type="unknown", payload=payload("d"))
UPDATES = [
    job_service_pb2.UpdateStatusRequest(id=ID[JobRole.QUEUED], status=STATUS.processing, claim=CLAIM),
    job_service_pb2.UpdateStatusRequest(
        id=ID[JobRole.HANDED_BACK],
        status=STATUS.processing,
        claim=job_service_pb2.Claim(worker_id=WORKER_ID, expected_attempt=1),
    ),
    job_service_pb2.UpdateStatusRequest(id=ID[JobRole.QUEUED], status=STATUS.processing),
    job_service_pb2.UpdateStatusRequest(id=ID[JobRole.SCHEDULED], status=STATUS.processing),
    job_service_pb2.UpdateStatusRequest(
        id=ID[JobRole.HELD], status=STATUS.completed, token=TOKEN, result=payload("done")
    ),
    job_service_pb2.UpdateStatusRequest(id=ID[JobRole.HELD], status=STATUS.failed, token=TOKEN, error=ERROR),
    job_service_pb2.UpdateStatusRequest(
        id=ID[JobRole.HELD],
        status=STATUS.failed,
        token=TOKEN,
        error=ERROR,
        failure_hint=job_service_pb2.FailureHint(retry_after=Duration(seconds=1)),
    ),
    job_service_pb2.UpdateStatusRequest(
        id=ID[JobRole.HELD],
        status=STATUS.failed,
        token=TOKEN,
        failure_hint=job_service_pb2.FailureHint(permanent=True),
    ),
    job_service_pb2.UpdateStatusRequest(id=ID[JobRole.HELD], status=STATUS.queued, token=TOKEN),
    job_service_pb2.UpdateStatusRequest(
        id=ID[JobRole.CLAIMED_UNNAMED], status=STATUS.completed, result=payload("done")
    ),
    job_service_pb2.UpdateStatusRequest(id=ID[JobRole.CLAIMED_UNNAMED], status=STATUS.failed, error=ERROR),
    job_service_pb2.UpdateStatusRequest(id=ID[JobRole.COMPLETED], status=STATUS.completed, token=TOKEN),
    job_service_pb2.UpdateStatusRequest(id=ABSENT_JOB, status=STATUS.processing, claim=CLAIM),
]
REPORT = worker_pb2.WorkerReport(
    state=worker_pb2.WorkerReport.consuming,
    assignments=[worker_pb2.AssignedPartitions(topic="jobs.compute", partitions=[0, 1])],
    in_flight=1,
    busy_types=["compute"],
)
PROGRESS = fleet_service_pb2.JobProgress(
    job_id=ID[JobRole.HELD], attempt=1, progress=job_pb2.Progress(percent=50, message="half")
)
IDENTITY = worker_pb2.WorkerIdentity(
    worker_id=WORKER_ID,
    name=WORKER_NAME,
    host="h",
    pid=1,
    types=["compute"],
    start_time=Timestamp(seconds=NOW),
    version="0.1.0",
)

LINE = log_pb2.LogEntry(
    number=1, time=Timestamp(seconds=NOW), kind=log_pb2.LogEntry.line, level="info", logger="a", message="b"
)
TRACE = log_pb2.LogEntry(number=7, time=Timestamp(seconds=NOW), kind=log_pb2.LogEntry.trace, message="c")

NO_JOBS = job_service_pb2.JobFilter(labels=["fuzz=nothing-has-this"])
CANCELLED_JOBS = job_service_pb2.JobFilter(statuses=[STATUS.cancelled], label_keys=["team"])

EXAMPLES: dict[type[Message], list[Message]] = {}
for example in (
    *CREATIONS,
    job_service_pb2.BatchCreateRequest(requests=CREATIONS[:3]),
    # One of these is refused because of its id and one because of its type.
    job_service_pb2.BatchCreateRequest(requests=[*CREATIONS[2:5], UNKNOWN_TYPE]),
    *(job_service_pb2.GetRequest(id=job_id) for job_id in (*ID.values(), ABSENT_JOB)),
    *(explain_pb2.ExplainRequest(id=job_id) for job_id in (*ID.values(), ABSENT_JOB)),
    job_service_pb2.BatchGetRequest(ids=[ID[JobRole.FINISHED], ABSENT_JOB, ID[JobRole.QUEUED]]),
    job_service_pb2.BatchGetRequest(ids=[ID[JobRole.FINISHED]], view=STATUS.basic),
    job_service_pb2.ListRequest(),
    job_service_pb2.ListRequest(page_size=3, status=STATUS.completed, type=UNWORKED),
    job_service_pb2.ListRequest(page_token=PAGE_TOKEN),
    job_service_pb2.ListRequest(labels=["team=a"], create_time_from=Timestamp(seconds=NOW - 60)),
    job_service_pb2.ListRequest(statuses=[STATUS.failed, STATUS.cancelled], types=[UNWORKED, "data"]),
    job_service_pb2.ListRequest(label_keys=["team"], worker_ids=[WORKER_ID], oldest_first=True),
    job_service_pb2.ListRequest(
        error_reasons=["CANCELLED"],
        end_time_from=Timestamp(seconds=NOW - 60),
        view=STATUS.basic,
        include_total_size=True,
    ),
    *UPDATES,
    job_service_pb2.BatchUpdateStatusRequest(requests=UPDATES[:2]),
    job_service_pb2.BatchUpdateStatusRequest(requests=[UPDATES[4], UPDATES[9], UPDATES[12]]),
    *(job_service_pb2.CancelRequest(id=job_id, reason="no need") for job_id in ID.values()),
    *(job_service_pb2.RetryRequest(id=job_id) for job_id in ID.values()),
    job_service_pb2.RetryRequest(id=ID[JobRole.FAILED], expire_time=IN_AN_HOUR),
    NO_JOBS,
    CANCELLED_JOBS,
    *(
        request(filter=wanted, dry_run=is_dry_run)
        for request in (job_service_pb2.BulkCancelRequest, job_service_pb2.BulkRetryRequest)
        for wanted in (NO_JOBS, CANCELLED_JOBS)
        for is_dry_run in (False, True)
    ),
    job_service_pb2.BulkCancelRequest(filter=job_service_pb2.JobFilter(types=[UNWORKED]), reason="no need"),
    job_service_pb2.GetOperationRequest(id=OPERATION),
    job_service_pb2.CancelOperationRequest(id=OPERATION),
    job_service_pb2.ListOperationsRequest(page_size=2),
    *(job_service_pb2.DeleteRequest(id=job_id) for job_id in (*ID.values(), ABSENT_JOB)),
    fleet_service_pb2.RegisterWorkerRequest(worker=IDENTITY),
    fleet_service_pb2.RegisterWorkerRequest(
        worker=IDENTITY,
        schemas=[
            fleet_service_pb2.HandlerSchema(
                type=IDENTITY.types[0],
                payload_schema='{"properties":{"a":{"$ref":"http://127.0.0.1:1/x"}}}',
                result_schema='{"type":"object"}',
            )
        ],
    ),
    fleet_service_pb2.HeartbeatRequest(
        worker_id=WORKER_ID,
        job_ids=[ID[JobRole.HELD], ID[JobRole.CANCELLED]],
        report=REPORT,
        progress=[PROGRESS],
    ),
    log_pb2.AppendLogRequest(
        worker_id=WORKER_ID,
        logs=[
            log_pb2.AttemptLog(job_id=ID[role], attempt=1, entries=[LINE, TRACE])
            for role in (JobRole.HELD, JobRole.HELD, JobRole.FINISHED)
        ],
    ),
    LINE,
    TRACE,
    *(log_pb2.GetLogRequest(id=job_id) for job_id in (*ID.values(), ABSENT_JOB)),
    log_pb2.GetLogRequest(id=ID[JobRole.HELD], after_number=1),
    REPORT,
    IDENTITY,
    PROGRESS,
    TOKEN,
    CLAIM,
    ERROR,
):
    EXAMPLES.setdefault(type(example), []).append(example)
