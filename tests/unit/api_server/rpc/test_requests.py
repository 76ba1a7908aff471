"""How requests are converted for the services, and the errors of those that are refused."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.attempt import Failure
from api_server.domain.creation import NewJob, check_client_id, first_due_time, new_job_id
from api_server.domain.fleet import OneType, OneWorker, Part
from api_server.domain.job import ProgressNote, Status
from api_server.domain.listing import JobFilter, PageRequest, View
from api_server.domain.retry import FailureHint, RetryPolicy, Tries
from api_server.domain.status_update import Claim, Leases, StatusUpdate, Token, UpdateContext, to_transition
from api_server.rpc import page_token, requests
from api_server.rpc.worker_session import session_hash
from api_server.services.batch_ids import check_each_once
from contract_runtime.errors import InvalidArgument
from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import fleet_service_pb2, job_pb2, job_service_pb2, worker_pb2
from service_runtime.validation import ContractValidator

ID = UUID("0198f0a0-0000-7000-8000-000000000001")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTEXT = UpdateContext(NOW, Leases(timedelta(seconds=15), timedelta(hours=1)))
validator = ContractValidator()


def violations_of(message: Any) -> dict[str, str]:
    with pytest.raises(InvalidArgument) as caught:
        validator.check(message)
    return {violation.field: violation.description for violation in caught.value.violations}


def create(**fields: Any) -> job_service_pb2.CreateRequest:
    return job_service_pb2.CreateRequest(**{"type": "compute", "payload": dict_to_struct({}), **fields})


def listing(**fields: Any) -> job_service_pb2.ListRequest:
    return job_service_pb2.ListRequest(**fields)


def seconds(number: float) -> Duration:
    duration = Duration()
    duration.FromTimedelta(timedelta(seconds=number))
    return duration


def failed(**hint: Any) -> job_service_pb2.UpdateStatusRequest:
    return job_service_pb2.UpdateStatusRequest(
        id=str(ID),
        status=job_pb2.Job.failed,
        token=job_service_pb2.Token(worker_id="w", attempt=1),
        failure_hint=job_service_pb2.FailureHint(**hint),
    )


def test_a_violation_names_the_field_the_rule_and_the_value() -> None:
    assert violations_of(create(id="abc", type="Compute")) == {
        "id": "must be a UUIDv7, is 'abc'",
        "type": "does not match regex pattern `^[a-z][a-z0-9-]*$`, is 'Compute'",
    }


def test_a_violation_in_a_batch_names_the_item() -> None:
    request = job_service_pb2.BatchUpdateStatusRequest(
        requests=[
            job_service_pb2.UpdateStatusRequest(id=str(ID), status=job_pb2.Job.completed),
            job_service_pb2.UpdateStatusRequest(id="x", status=job_pb2.Job.cancelled),
        ]
    )
    assert violations_of(request) == {
        "requests[1].id": "must be a valid UUID, is 'x'",
        "requests[1].status": (
            "must be queued, processing, completed or failed (to cancel a job, call Cancel), is 5"
        ),
    }


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        (create(type="a" * 63), create(type="a" * 64)),
        (create(labels={"k" * 63: "v"}), create(labels={"k" * 64: "v"})),
        (create(labels={"k": "v" * 128}), create(labels={"k": "v" * 129})),
        (create(labels={f"k{n}": "" for n in range(32)}), create(labels={f"k{n}": "" for n in range(33)})),
        (create(labels={"team": "café = ü"}), create(labels={"team": "two\nlines"})),
        (create(labels={"a.b/c_d-1": ""}), create(labels={"a=b": ""})),
        (
            create(id="0198F0A0-0000-7000-8000-000000000001"),
            create(id="0198f0a0-0000-4000-8000-000000000001"),
        ),
        (create(timeout=seconds(0.01)), create(timeout=seconds(0.009))),
        (create(timeout=seconds(604_800)), create(timeout=seconds(604_800.001))),
        (create(retry_policy={"max_attempts": 100}), create(retry_policy={"max_attempts": 101})),
        (create(retry_policy={"multiplier": 1}), create(retry_policy={"multiplier": 0.99})),
        (create(retry_policy={"jitter": 1}), create(retry_policy={"jitter": 1.01})),
        (
            create(retry_policy={"initial_backoff": seconds(0), "max_backoff": seconds(604_800)}),
            create(retry_policy={"initial_backoff": seconds(-0.001)}),
        ),
        (failed(retry_after=seconds(604_800)), failed(retry_after=seconds(604_801))),
        (
            job_service_pb2.CancelRequest(id=str(ID), reason="x" * 512),
            job_service_pb2.CancelRequest(id=str(ID), reason="x" * 513),
        ),
        (job_service_pb2.RetryRequest(id=str(ID)), job_service_pb2.RetryRequest(id="x")),
        (job_service_pb2.ListRequest(page_size=0), job_service_pb2.ListRequest(page_size=-1)),
        (job_service_pb2.ListRequest(labels=["k=v"] * 8), job_service_pb2.ListRequest(labels=["k=v"] * 9)),
        (job_service_pb2.ListRequest(labels=["k="]), job_service_pb2.ListRequest(labels=["k"])),
    ],
)
def test_each_limit_of_the_contract_admits_the_last_value_and_refuses_the_next(
    allowed: Any, refused: Any
) -> None:
    validator.check(allowed)
    with pytest.raises(InvalidArgument):
        validator.check(refused)


def test_a_job_without_a_payload_is_refused_and_an_empty_one_is_not() -> None:
    assert requests.new_job(create()).payload == {}
    with pytest.raises(InvalidArgument, match="payload: value is required"):
        requests.new_job(job_service_pb2.CreateRequest(type="compute"))


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (fleet_service_pb2.HeartbeatRequest(job_ids=[""] * 200_000), "job_ids"),
        (
            job_service_pb2.BatchUpdateStatusRequest(
                requests=[job_service_pb2.UpdateStatusRequest()] * 50_000
            ),
            "requests",
        ),
        (create(labels={f"_{n}": "" for n in range(50_000)}), "labels"),
        (
            fleet_service_pb2.HeartbeatRequest(
                report=worker_pb2.WorkerReport(
                    assignments=[worker_pb2.AssignedPartitions(partitions=[1])] * 50_000
                )
            ),
            "report.assignments",
        ),
    ],
)
def test_a_list_that_is_too_long_is_refused_before_its_items_are_checked(request_: Any, field: str) -> None:
    # Checking all these wrong items would take seconds, and block the server for that time.
    violations = violations_of(request_)
    assert list(violations) == [field]
    assert "must have at most" in violations[field]


def test_a_large_message_with_many_violations_is_refused_with_the_first_one() -> None:
    assert len(violations_of(fleet_service_pb2.HeartbeatRequest(job_ids=["x" * 10] * 9_000))) == 1


def test_a_report_names_at_most_ten_thousand_partitions() -> None:
    def report(count: int) -> worker_pb2.WorkerReport:
        one = worker_pb2.AssignedPartitions(topic="jobs.compute", partitions=range(count // 2))
        return worker_pb2.WorkerReport(assignments=[one, one])

    requests.worker_report(report(10_000))
    with pytest.raises(InvalidArgument, match="10000 partitions"):
        requests.worker_report(report(10_002))


def test_the_last_progress_of_a_job_in_a_heartbeat_counts() -> None:
    def note(job_id: str, percent: float) -> fleet_service_pb2.JobProgress:
        return fleet_service_pb2.JobProgress(
            job_id=job_id, attempt=2, progress=job_pb2.Progress(percent=percent, message="m")
        )

    other = UUID(int=ID.int + 1)
    request = fleet_service_pb2.HeartbeatRequest(
        progress=[note(str(ID), 1), note(str(other), 2), note(str(ID).upper(), 3)]
    )
    assert requests.progress_notes(request) == [ProgressNote(ID, 2, 3, "m"), ProgressNote(other, 2, 2, "m")]


@pytest.mark.parametrize(
    ("part", "meant"),
    [
        (None, None),
        (worker_pb2.FleetPart(worker="a"), OneWorker("a")),
        (worker_pb2.FleetPart(type="data"), OneType("data")),
    ],
)
def test_a_part_of_the_fleet_is_a_worker_or_a_type(
    part: worker_pb2.FleetPart | None, meant: Part | None
) -> None:
    assert requests.fleet_part(fleet_service_pb2.SetFleetRequest(part=part)) == meant


def test_a_payload_that_exceeds_a_limit_is_refused_with_the_path() -> None:
    request = create()
    request.payload.fields["rows"].list_value.values.add()
    with pytest.raises(InvalidArgument) as caught:
        requests.new_job(request)
    assert caught.value.violations[0].field == "payload.rows[0]"


@pytest.mark.parametrize(
    ("asked", "given_size"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)]
)
def test_the_page_size_is_fifty_by_default_and_at_most_a_thousand(asked: int, given_size: int) -> None:
    request = job_service_pb2.ListRequest(page_size=asked)
    assert requests.page_request(request, None) == PageRequest(given_size)


def test_order_view_and_token_belong_to_the_page() -> None:
    request = job_service_pb2.ListRequest(oldest_first=True, view=job_pb2.Job.basic)
    assert requests.page_request(request, ID) == PageRequest(50, ID, oldest_first=True, view=View.BASIC)


@pytest.mark.parametrize(
    "field", ["create_time_from", "create_time_before", "end_time_from", "end_time_before"]
)
def test_a_time_outside_the_calendar_is_refused(field: str) -> None:
    request = listing(**{field: Timestamp(seconds=10**15)})
    with pytest.raises(InvalidArgument, match=field):
        requests.job_filter(request)


def test_every_filter_of_a_list_is_used() -> None:
    moments = [Timestamp(seconds=number) for number in (1, 2, 3, 4)]
    request = job_service_pb2.ListRequest(
        statuses=[job_pb2.Job.queued, job_pb2.Job.failed],
        types=["compute", "data"],
        labels=["a=1"],
        label_keys=["b"],
        error_reasons=["TIMEOUT"],
        worker_ids=["w/1"],
        create_time_from=moments[0],
        create_time_before=moments[1],
        end_time_from=moments[2],
        end_time_before=moments[3],
    )
    validator.check(request)
    times = [moment.ToDatetime(UTC) for moment in moments]
    assert requests.job_filter(request) == JobFilter(
        frozenset({Status.QUEUED, Status.FAILED}),
        frozenset({"compute", "data"}),
        {"a": "1"},
        frozenset({"b"}),
        frozenset({"TIMEOUT"}),
        frozenset({"w/1"}),
        *times,
    )


def test_a_single_status_and_type_count_as_one_more() -> None:
    failed, cancelled = job_pb2.Job.failed, job_pb2.Job.cancelled
    one = requests.job_filter(job_service_pb2.ListRequest(status=failed, type="data"))
    assert one == JobFilter(frozenset({Status.FAILED}), frozenset({"data"}))
    request = job_service_pb2.ListRequest(
        status=failed, statuses=[failed, cancelled], type="data", types=["file"]
    )
    assert requests.job_filter(request) == JobFilter(
        frozenset({Status.FAILED, Status.CANCELLED}), frozenset({"data", "file"})
    )


@pytest.mark.parametrize(
    ("field", "allowed", "refused"),
    [
        ("statuses", [1, 2, 3, 4, 5], [0]),
        ("statuses", [5], [6]),
        ("statuses", [1] * 5, [1] * 6),
        ("types", ["t" * 63], ["t" * 64]),
        ("types", ["t"] * 32, ["t"] * 33),
        ("types", ["t"], [""]),
        ("label_keys", ["k" * 63], ["k" * 64]),
        ("label_keys", ["k"] * 8, ["k"] * 9),
        ("label_keys", ["a.b/c"], ["a=b"]),
        ("label_keys", ["0"], [""]),
        ("error_reasons", ["R" * 63], ["R" * 64]),
        ("error_reasons", ["R_1"] * 8, ["R_1"] * 9),
        ("error_reasons", ["R"], ["r"]),
        ("error_reasons", ["R"], [""]),
        ("worker_ids", ["w" * 200], ["w" * 201]),
        ("worker_ids", ["w"] * 8, ["w"] * 9),
        ("worker_ids", ["w"], [""]),
    ],
)
def test_each_filter_of_a_list_has_limits(field: str, allowed: list[Any], refused: list[Any]) -> None:
    validator.check(listing(**{field: allowed}))
    [named] = violations_of(listing(**{field: refused}))
    assert named.split("[")[0] == field


def test_a_view_that_does_not_exist_is_refused() -> None:
    assert violations_of(listing(view=2)) == {"view": "value must be one of the defined enum values, is 2"}
    request: Any = job_service_pb2.BatchGetRequest(ids=[str(ID)])
    request.view = 2
    assert list(violations_of(request)) == ["view"]


@pytest.mark.parametrize("field", ["schedule_time", "expire_time"])
def test_a_time_of_a_new_job_outside_the_calendar_is_refused(field: str) -> None:
    with pytest.raises(InvalidArgument, match=field):
        requests.new_job(create(**{field: Timestamp(seconds=10**15)}))
    with pytest.raises(InvalidArgument, match="expire_time"):
        requests.new_expire_time(job_service_pb2.RetryRequest(expire_time=Timestamp(nanos=-1)))


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_a_schedule_time_is_rounded_up_to_milliseconds_and_an_expire_time_down(micros: int) -> None:
    stamp = Timestamp(seconds=micros // 10**6, nanos=micros % 10**6 * 1000)
    wanted = requests.new_job(create(schedule_time=stamp, expire_time=stamp))
    given_time = stamp.ToDatetime(UTC)
    assert wanted.schedule_time is not None
    assert wanted.expire_time is not None
    assert wanted.schedule_time.microsecond % 1000 == wanted.expire_time.microsecond % 1000 == 0
    assert timedelta(0) <= given_time - wanted.expire_time < timedelta(milliseconds=1)
    # The last millisecond of the calendar cannot be rounded up.
    if given_time <= datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC):
        assert timedelta(0) <= wanted.schedule_time - given_time < timedelta(milliseconds=1)


def test_fields_that_a_policy_omits_have_their_defaults() -> None:
    assert requests.new_job(create()).retry_policy == RetryPolicy()
    assert requests.new_job(create(retry_policy={})).retry_policy == RetryPolicy()
    some = requests.new_job(create(retry_policy={"max_attempts": 9, "jitter": 0.0}))
    assert some.retry_policy == RetryPolicy(max_attempts=9, jitter=0.0)
    rest = requests.new_job(
        create(retry_policy={"initial_backoff": seconds(0), "max_backoff": seconds(7.5), "multiplier": 1.0})
    )
    assert rest.retry_policy == RetryPolicy(3, timedelta(0), timedelta(seconds=7.5), 1.0, 0.2)


def test_a_timeout_is_not_rounded() -> None:
    assert requests.new_job(create()).timeout is None
    assert requests.new_job(create(timeout=seconds(0.0105))).timeout == timedelta(milliseconds=10.5)


def test_a_hint_is_read_with_the_failure() -> None:
    assert requests.update(failed(permanent=True)).hint == FailureHint(permanent=True)
    assert requests.update(failed(retry_after=seconds(2.5))).hint == FailureHint(
        retry_after=timedelta(seconds=2.5)
    )
    assert requests.update(failed(retry_after=seconds(0))).hint == FailureHint(retry_after=timedelta(0))
    without = job_service_pb2.UpdateStatusRequest(id=str(ID), status=job_pb2.Job.failed)
    assert requests.update(without).hint is None


def new(**times: Any) -> NewJob:
    return NewJob("compute", {}, **times)


def test_a_job_is_scheduled_at_most_a_year_ahead() -> None:
    new(schedule_time=NOW + timedelta(days=366)).check_times(NOW)
    with pytest.raises(InvalidArgument, match="schedule_time: must be at most 366 days ahead"):
        new(schedule_time=NOW + timedelta(days=366, milliseconds=1)).check_times(NOW)


def test_a_job_expires_after_its_schedule_time() -> None:
    later = NOW + timedelta(milliseconds=1)
    new(schedule_time=NOW, expire_time=later).check_times(NOW)
    new(expire_time=NOW - timedelta(days=1)).check_times(NOW)
    with pytest.raises(InvalidArgument, match="expire_time: must be after schedule_time"):
        new(schedule_time=NOW, expire_time=NOW).check_times(NOW)


@pytest.mark.parametrize(
    ("schedule", "expire", "waits_until", "due"),
    [
        (None, None, None, 5.0),
        (0.0, None, None, 5.0),
        (-9.0, None, None, 5.0),
        (2.0, None, 2.0, 2.0),
        (60.0, 70.0, 60.0, 60.0),
        (None, 60.0, None, 5.0),
        (None, 3.0, None, 3.0),
        (None, -3.0, None, -3.0),
    ],
)
def test_a_new_job_is_due_when_it_starts_or_expires(
    schedule: float | None, expire: float | None, waits_until: float | None, due: float
) -> None:
    def time(seconds: float | None) -> datetime | None:
        return None if seconds is None else NOW + timedelta(seconds=seconds)

    job = new(schedule_time=time(schedule), expire_time=time(expire)).to_job(ID, NOW)
    assert (job.next_attempt_time, job.schedule_time) == (time(waits_until), time(schedule))
    assert first_due_time(job) == time(due)


@pytest.mark.parametrize("key", ["k", "k" * 255, "a b~!"])
def test_idempotency_keys_that_follow_the_rules_are_accepted(key: str) -> None:
    found = requests.idempotency_key((("idempotency-key", key),), create())
    assert found is not None
    assert found.value == key


@pytest.mark.parametrize("metadata", [[""], ["k" * 256], ["tab\t"], ["é"], ["a", "b"]])
def test_idempotency_keys_that_break_a_rule_are_refused(metadata: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="idempotency-key"):
        requests.idempotency_key(tuple(("idempotency-key", value) for value in metadata), create())


def test_the_hash_of_a_request_does_not_depend_on_the_order_of_its_keys() -> None:
    names = [f"k{n}" for n in range(20)]
    one = create(payload=dict_to_struct(dict.fromkeys(names, 1)))
    two = create(payload=dict_to_struct(dict.fromkeys(reversed(names), 1)))
    three = create(payload=dict_to_struct(dict.fromkeys(names, 2)))
    header = (("idempotency-key", "k"),)
    first, second, third = (requests.idempotency_key(header, request) for request in (one, two, three))
    assert first == second != third


@given(st.uuids(), st.sampled_from(Status), st.dictionaries(st.text("ab", min_size=1), st.text()))
def test_a_page_token_is_valid_only_for_the_same_filters(
    last: UUID, status: Status, labels: dict[str, str]
) -> None:
    wanted = JobFilter(statuses=frozenset({status}), labels=labels)
    token = page_token.encode(last, wanted)
    assert page_token.decode(token, wanted) == last
    for other in (
        replace(wanted, types=frozenset({"compute"})),
        replace(wanted, labels={**labels, "another": "label"}),
        replace(wanted, label_keys=frozenset({"a"})),
        replace(wanted, error_reasons=frozenset({"TIMEOUT"})),
        replace(wanted, worker_ids=frozenset({"w"})),
        replace(wanted, created_from=NOW),
        replace(wanted, created_before=NOW),
        replace(wanted, ended_from=NOW),
        replace(wanted, ended_before=NOW),
        replace(wanted, statuses=frozenset(Status)),
    ):
        with pytest.raises(InvalidArgument, match="other filters"):
            page_token.decode(token, other)
    with pytest.raises(InvalidArgument, match="another order"):
        page_token.decode(token, wanted, oldest_first=True)


def test_a_page_token_does_not_depend_on_the_order_of_values() -> None:
    one = requests.job_filter(job_service_pb2.ListRequest(types=["a", "b", "c"], labels=["x=1", "y=2"]))
    two = requests.job_filter(job_service_pb2.ListRequest(types=["c", "a", "b"], labels=["y=2", "x=1"]))
    assert page_token.decode(page_token.encode(ID, one), two) == ID


@given(st.text(min_size=1))
def test_a_page_token_that_no_server_made_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgument, match="page_token"):
        page_token.decode(token, JobFilter())


@pytest.mark.parametrize(
    ("seconds", "allowed"), [(-86_400, True), (-86_401, False), (300, True), (301, False)]
)
def test_a_chosen_id_must_contain_a_time_near_now(seconds: int, allowed: bool) -> None:
    job_id = new_job_id(NOW + timedelta(seconds=seconds))
    if allowed:
        assert check_client_id(job_id, NOW) == job_id
    else:
        with pytest.raises(InvalidArgument, match=r"is [+-]\d+ s off"):
            check_client_id(job_id, NOW)


def test_a_job_may_occur_once_in_a_batch_in_any_spelling_of_its_id() -> None:
    with pytest.raises(InvalidArgument, match=r"requests\[2\].id: .* the same as requests\[1\].id"):
        check_each_once([None, *(requests.job_id(text) for text in (str(ID), str(ID).upper())), None])
    with pytest.raises(InvalidArgument, match=r"ids\[1\]: .* the same as ids\[0\]"):
        check_each_once([ID, ID], "ids[{}]")


CLAIM, TOKEN = Claim("w", 0), Token("w", 1)


@pytest.mark.parametrize(
    ("update", "field"),
    [
        (StatusUpdate(ID, Status.QUEUED), "token"),
        (StatusUpdate(ID, Status.PROCESSING, TOKEN, result={}), "result"),
        (StatusUpdate(ID, Status.COMPLETED, CLAIM), "claim"),
        (StatusUpdate(ID, Status.QUEUED, CLAIM), "claim"),
        (StatusUpdate(ID, Status.PROCESSING, CLAIM, result={}), "result"),
        (StatusUpdate(ID, Status.FAILED, TOKEN, result={}), "result"),
        (StatusUpdate(ID, Status.COMPLETED, TOKEN, failure=Failure(2, "", "X")), "error"),
        (StatusUpdate(ID, Status.COMPLETED, TOKEN, hint=FailureHint()), "failure_hint"),
        (StatusUpdate(ID, Status.FAILED, hint=FailureHint(permanent=True)), "failure_hint"),
    ],
)
def test_status_guard_and_outcome_must_fit_together(update: StatusUpdate, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        to_transition(update, CONTEXT)
    assert caught.value.violations[0].field == field


def test_a_failure_without_an_error_is_unknown() -> None:
    transition = to_transition(StatusUpdate(ID, Status.FAILED), CONTEXT)
    assert transition.failure == Failure(2, "", "UNKNOWN")


REPORT = StatusUpdate(ID, Status.FAILED, TOKEN)


@pytest.mark.parametrize(
    ("hint", "failures", "wait"),
    [
        (None, 0, 1.0),
        (None, 1, 2.0),
        (None, 2, None),
        (FailureHint(), 0, 1.0),
        (FailureHint(permanent=True), 0, None),
        (FailureHint(retry_after=timedelta(0)), 1, 0.0),
        (FailureHint(retry_after=timedelta(seconds=90)), 0, 90.0),
        (FailureHint(retry_after=timedelta(seconds=90)), 2, None),
    ],
)
def test_a_job_is_tried_again_after_its_holders_failure_while_tries_are_left(
    hint: FailureHint | None, failures: int, wait: float | None
) -> None:
    transition = to_transition(replace(REPORT, hint=hint), replace(CONTEXT, tries=Tries(failures)))
    assert transition.reports_failure
    if wait is None:
        assert (transition.change.status, transition.next_attempt_time) == (Status.FAILED, None)
    else:
        assert transition.change.status is Status.QUEUED
        assert transition.next_attempt_time == NOW + timedelta(seconds=wait)


def test_only_failures_that_may_be_retried_depend_on_earlier_ones() -> None:
    assert REPORT.may_be_tried_again
    assert to_transition(REPORT, CONTEXT).guard.failures == 0
    for update in (StatusUpdate(ID, Status.FAILED), replace(REPORT, hint=FailureHint(permanent=True))):
        assert not update.may_be_tried_again
        assert to_transition(update, CONTEXT).guard.failures is None


def test_a_failure_without_a_worker_is_final() -> None:
    assert to_transition(StatusUpdate(ID, Status.FAILED), CONTEXT).change.status is Status.FAILED


def key_of(**fields: Any) -> Any:
    return requests.idempotency_key((("idempotency-key", "k"),), create(**fields))


def test_the_same_request_with_another_wait_is_the_same_request() -> None:
    request = create(wait=seconds(5))

    assert (
        key_of() == key_of(wait=seconds(0)) == requests.idempotency_key((("idempotency-key", "k"),), request)
    )
    assert key_of(wait=seconds(5), timeout=seconds(9)) != key_of(wait=seconds(5))
    assert request.wait.seconds == 5


@pytest.mark.parametrize("message", [create(), job_service_pb2.GetRequest(id=str(ID))], ids=["Create", "Get"])
def test_a_wait_is_from_0_seconds_to_1_hour(message: Any) -> None:
    for number in (0, 0.001, 3600):
        message.wait.CopyFrom(seconds(number))
        validator.check(message)
    for number in (-0.001, 3600.001):
        message.wait.CopyFrom(seconds(number))
        assert set(violations_of(message)) == {"wait"}


def test_a_batch_does_not_wait() -> None:
    batch = job_service_pb2.BatchCreateRequest(requests=[create(wait=seconds(0)), create()])
    refused, accepted = requests.new_jobs(batch)

    assert isinstance(refused, InvalidArgument)
    assert refused.message == "wait: must not be set in a batch, which does not wait"
    assert isinstance(accepted, NewJob)


def test_the_session_of_a_call_is_kept_as_a_hash() -> None:
    secret = "s" * 43
    hashed = session_hash((("x", "y"), ("worker-session", secret)))
    assert (len(hashed), secret in hashed) == (64, False)
    assert hashed == session_hash((("worker-session", secret),))
    assert hashed != session_hash((("worker-session", "t" * 43),))
    assert session_hash((("x", "y"),)) == ""
    request = job_service_pb2.UpdateStatusRequest(id=str(ID), status=job_pb2.Job.processing)
    assert requests.update(request, hashed).session == hashed
    [item] = requests.updates(job_service_pb2.BatchUpdateStatusRequest(requests=[request]), hashed)
    assert isinstance(item, StatusUpdate)
    assert item.session == hashed


@pytest.mark.parametrize(
    "metadata",
    [
        (("worker-session", "s" * 31),),
        (("worker-session", "s" * 256),),
        (("worker-session", "s" * 43), ("worker-session", "s" * 43)),
        (("worker-session", b"s" * 43),),
    ],
)
def test_a_session_of_another_form_is_refused(metadata: requests.Metadata) -> None:
    with pytest.raises(InvalidArgument):
        session_hash(metadata)


@pytest.mark.parametrize("length", [32, 255])
def test_the_shortest_and_the_longest_session_are_taken(length: int) -> None:
    assert session_hash((("worker-session", "s" * length),))
