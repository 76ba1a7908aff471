"""The small pure parts of the worker service, each by itself."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from buf.validate import validate_pb2
from jobs.v1.dispatch_pb2 import DispatchRecord
from jobs.v1.fleet_service_pb2 import HeartbeatRequest
from jobs.v1.worker_pb2 import AssignedPartitions, Fleet
from service_runtime.settings import WrongSettings, read_settings
from service_runtime.validation import ContractValidator
from worker_service.api.backoff import Backoff
from worker_service.api.client import AVOID_SECONDS, Endpoints
from worker_service.bootstrap import INLINE_PLACES
from worker_service.claiming.lanes import MOST_AHEAD, MOST_AHEAD_OF_REFUSALS
from worker_service.control.heartbeat import assigned_partitions
from worker_service.kafka.offsets import Partition
from worker_service.kafka.records import MAX_TYPE, BadRecord, decode_record, is_plainly_valid, time_limit_of
from worker_service.kafka.watchdog import MOST_SECONDS_A_TICK, Silence
from worker_service.settings import WorkerSettings
from worker_service.state.desired_fleet import DesiredFleet

JOB_ID = "01938f4e-7c3a-7b2e-9d41-3f5a6b7c8d9e"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestBackoff:
    def test_waits_double_up_to_the_most_and_start_again_after_a_reset(self) -> None:
        backoff = Backoff(first=1, most=5, randomness=lambda: 0.0)

        assert [backoff.next() for _ in range(4)] == [1, 2, 4, 5]
        backoff.reset()
        assert backoff.next() == 1

    def test_chance_cuts_a_wait_by_half_at_most(self) -> None:
        assert Backoff(first=1, randomness=lambda: 1.0).next() == 0.5


class TestEndpoints:
    def test_endpoints_take_turns(self) -> None:
        endpoints = Endpoints(3, Clock())

        assert [endpoints.pick() for _ in range(4)] == [0, 1, 2, 0]

    def test_a_failed_endpoint_is_left_out_for_a_while(self) -> None:
        clock = Clock()
        endpoints = Endpoints(2, clock)
        endpoints.avoid(0)

        assert [endpoints.pick() for _ in range(3)] == [1, 1, 1]

        clock.now += AVOID_SECONDS
        assert {endpoints.pick(), endpoints.pick()} == {0, 1}

    def test_the_one_that_failed_first_is_tried_when_all_have_failed(self) -> None:
        clock = Clock()
        endpoints = Endpoints(2, clock)
        endpoints.avoid(1)
        clock.now += 1
        endpoints.avoid(0)

        assert endpoints.pick() == 1

    def test_success_ends_the_avoiding(self) -> None:
        endpoints = Endpoints(2, Clock())
        endpoints.avoid(0)
        endpoints.trust(0)

        assert {endpoints.pick(), endpoints.pick()} == {0, 1}


class TestDesiredFleet:
    def test_nothing_is_consumed_before_the_first_wish_is_heard(self) -> None:
        desired = DesiredFleet("test", lambda: None)

        assert not desired.consuming
        assert not desired.allows("compute")

    def test_a_wish_is_not_followed_until_somebody_says_so(self) -> None:
        desired = DesiredFleet("test", lambda: None)
        desired.hear(Fleet(consuming=True, revision=4))

        assert (desired.consuming, desired.followed, desired.followed_revision) == (True, False, 0)
        desired.follow()
        assert (desired.followed, desired.followed_revision) == (True, 4)

    def test_an_older_answer_changes_nothing(self) -> None:
        desired = DesiredFleet("test", lambda: None)
        desired.hear(Fleet(consuming=False, revision=2))
        desired.hear(Fleet(consuming=True, revision=1))

        assert not desired.consuming

    def test_a_forgotten_wish_allows_nothing_and_is_followed_by_any(self) -> None:
        desired = DesiredFleet("test", lambda: None)
        desired.hear(Fleet(consuming=True, revision=2))
        desired.follow()
        desired.forget()
        assert not desired.allows("compute")
        assert (desired.stopped_by_name, desired.followed_revision) == (False, 0)

        desired.hear(Fleet(consuming=True, revision=1))
        assert desired.allows("compute")
        assert not desired.followed

    def test_a_stop_holds_for_the_worker_that_it_names(self) -> None:
        fleet = Fleet(consuming=True, revision=1, stopped_workers=["other", "test"])
        stopped, other, third = (DesiredFleet(name, lambda: None) for name in ("test", "other", "third"))
        for desired in (stopped, other, third):
            desired.hear(fleet)

        assert [desired.allows("compute") for desired in (stopped, other, third)] == [False, False, True]
        assert [desired.stopped_by_name for desired in (stopped, other, third)] == [True, True, False]

    def test_a_stop_holds_for_the_type_that_it_names(self) -> None:
        desired = DesiredFleet("test", lambda: None)
        desired.hear(Fleet(consuming=True, revision=1, stopped_types=["compute"]))

        assert (desired.allows("compute"), desired.allows("data"), desired.consuming) == (False, True, True)
        assert not desired.stopped_by_name

    def test_only_a_change_for_this_worker_is_told(self) -> None:
        changes: list[None] = []
        desired = DesiredFleet("test", lambda: changes.append(None))
        for revision, fleet in enumerate(
            [
                Fleet(consuming=True),
                Fleet(consuming=True, stopped_workers=["other"]),
                Fleet(consuming=True, stopped_types=["data"]),
                Fleet(consuming=True, stopped_types=["data"], stopped_workers=["other"]),
                Fleet(consuming=False, stopped_types=["data"], stopped_workers=["test"]),
                Fleet(consuming=False, stopped_types=["data"], stopped_workers=["other", "test"]),
                Fleet(consuming=False, stopped_types=["data"]),
            ]
        ):
            fleet.revision = revision
            desired.hear(fleet)

        assert len(changes) == 4


class TestSilence:
    def test_silence_grows_until_the_counter_moves(self) -> None:
        silence = Silence(0, now=0)
        silence.tick(0, now=1)
        silence.tick(0, now=2)
        assert silence.seconds == 2

        silence.tick(1, now=3)
        assert silence.seconds == 0

    def test_time_in_which_the_process_was_stopped_hardly_counts(self) -> None:
        silence = Silence(0, now=0)
        silence.tick(0, now=1000)

        assert silence.seconds == MOST_SECONDS_A_TICK


class TestRecords:
    validator = ContractValidator()

    def decode(self, value: bytes | None, topic: str = "jobs.compute") -> DispatchRecord:
        return decode_record(value, topic, self.validator)

    def test_a_record_is_decoded_with_its_id_in_lower_case(self) -> None:
        sent = DispatchRecord(id=JOB_ID.upper(), type="compute", attempt=2)
        sent.payload.update({"input": "abc"})

        record = self.decode(sent.SerializeToString())

        assert (record.id, record.attempt, record.payload["input"]) == (JOB_ID, 2, "abc")

    @pytest.mark.parametrize(
        ("value", "problem"),
        [
            (None, "the record has no value"),
            (b"\xff\xff", "not a DispatchRecord"),
            (DispatchRecord(id="x", type="compute", payload_omitted=True).SerializeToString(), "id: "),
            (DispatchRecord(id=JOB_ID, type="compute").SerializeToString(), "content"),
            (
                DispatchRecord(
                    id=JOB_ID, type="compute", attempt=-1, payload_omitted=True
                ).SerializeToString(),
                "attempt: ",
            ),
            (
                DispatchRecord(id=JOB_ID, type="file", payload_omitted=True).SerializeToString(),
                "type: must belong to topic jobs.compute, is 'file'",
            ),
        ],
    )
    def test_a_record_that_breaks_a_rule_is_refused_with_the_rule(
        self, value: bytes | None, problem: str
    ) -> None:
        with pytest.raises(BadRecord, match=problem):
            self.decode(value)

    @given(
        job_id=st.sampled_from(
            [JOB_ID, JOB_ID.upper(), JOB_ID[:-1], f"{JOB_ID}\n", JOB_ID.replace("-", ""), ""]
        ),
        job_type=st.sampled_from(["", "compute", "x" * MAX_TYPE, "x" * (MAX_TYPE + 1), "ü" * MAX_TYPE]),
        numbers=st.tuples(st.integers(-1, 1), st.integers(-1, 3)),
        content=st.sampled_from(
            [{}, {"payload": Struct()}, {"payload_omitted": True}, {"payload_omitted": False}]
        ),
        timeout=st.sampled_from([None, Duration(seconds=1), Duration(), Duration(seconds=-1)]),
    )
    def test_what_is_plainly_valid_breaks_no_rule_of_the_contract(
        self, job_id: str, job_type: str, numbers: tuple[int, int], content: Any, timeout: Duration | None
    ) -> None:
        attempt, losses = numbers
        record = DispatchRecord(
            id=job_id, type=job_type, attempt=attempt, losses=losses, timeout=timeout, **content
        )

        if is_plainly_valid(record):
            assert self.validator.collect(record) == []
        elif job_id == JOB_ID and timeout is None:
            assert self.validator.collect(record) != []

    @pytest.mark.parametrize(
        ("timeout", "seconds"),
        [
            (None, None),
            (Duration(seconds=1, nanos=500_000_000), 1.5),
            (Duration(nanos=10_000_000), 0.01),
            (Duration(seconds=315_576_000_000), 315_576_000_000),
        ],
    )
    def test_a_time_limit_is_taken_from_its_record(
        self, timeout: Duration | None, seconds: float | None
    ) -> None:
        sent = DispatchRecord(id=JOB_ID, type="compute", payload_omitted=True, timeout=timeout)

        assert time_limit_of(self.decode(sent.SerializeToString())) == seconds


def test_all_that_a_worker_may_hold_fits_into_a_heartbeat() -> None:
    fields = WorkerSettings.model_fields
    limits = [
        next(rule.le for rule in fields[name].metadata if hasattr(rule, "le"))
        for name in ("worker_concurrency", "worker_threads", "worker_processes")
    ]
    most = sum(limit + MOST_AHEAD + MOST_AHEAD_OF_REFUSALS for limit in [*limits, INLINE_PLACES])
    rules: Any = HeartbeatRequest.DESCRIPTOR.fields_by_name["job_ids"].GetOptions()

    assert most <= rules.Extensions[validate_pb2.field].repeated.max_items


def test_assigned_partitions_are_told_by_topic_in_order() -> None:
    told = assigned_partitions({Partition("b", 1), Partition("a", 2), Partition("a", 0)})

    assert told == [
        AssignedPartitions(topic="a", partitions=[0, 2]),
        AssignedPartitions(topic="b", partitions=[1]),
    ]


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("WORKER_JOB_TYPES", "compute,No", "'No' is not allowed"),
        ("WORKER_JOB_TYPES", ",".join(f"type-{number}" for number in range(257)), "at most 256 items"),
        ("WORKER_JOB_TYPES", ",", "must name at least one job type"),
        ("API_SERVER_ADDRESS", "api:50051,nowhere", "'nowhere' is not host:port"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:0", "'kafka:0' is not host:port with a port from 1 to 65535"),
        ("WORKER_CONCURRENCY", "0", "greater than or equal to 1"),
        ("WORKER_DRAIN_TIMEOUT", "nan", "finite"),
        ("WORKER_NAME", "a/b", "match pattern"),
        ("WORKER_COUNT", "0", "greater than or equal to 1"),
        ("WORKER_COUNT", "65", "less than or equal to 64"),
    ],
)
def test_a_wrong_setting_names_variable_and_rule(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(WrongSettings) as caught:
        read_settings(WorkerSettings)

    assert str(caught.value).startswith(f"{variable}: ")
    assert told in str(caught.value)


def test_several_addresses_are_read_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SERVER_ADDRESS", "10.0.0.1:50051, [::1]:50052,api-server:50053")

    settings = read_settings(WorkerSettings)

    assert settings.api_server_address == ("10.0.0.1:50051", "[::1]:50052", "api-server:50053")


def test_each_of_several_workers_has_a_port_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_COUNT", "10")
    monkeypatch.setenv("WORKER_PORT", "65526")
    monkeypatch.setenv("WORKER_NAME", "w" * 125)

    own = read_settings(WorkerSettings).of_process(10)

    assert (own.worker_port, own.worker_name) == (65535, "w" * 125 + "-10")


@pytest.mark.parametrize(
    ("variable", "value"), [("WORKER_PORT", "65527"), ("WORKER_NAME", "w" * 126)], ids=["port", "name"]
)
def test_several_workers_that_cannot_all_have_a_port_and_a_name_are_a_wrong_setting(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv("WORKER_COUNT", "10")
    monkeypatch.setenv(variable, value)

    with pytest.raises(WrongSettings, match=variable):
        read_settings(WorkerSettings)


def test_several_workers_without_a_name_choose_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_COUNT", "2")

    assert read_settings(WorkerSettings).of_process(2).worker_name is None


def test_each_process_of_each_api_server_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_SERVER_ADDRESS", "a:50051,[::1]:65534,a:50052")
    monkeypatch.setenv("API_SERVER_PROCESSES", "2")

    endpoints = read_settings(WorkerSettings).api_server_endpoints

    assert endpoints == ("a:50051", "[::1]:65534", "a:50052", "[::1]:65535", "a:50053")
    monkeypatch.setenv("API_SERVER_PROCESSES", "3")
    with pytest.raises(WrongSettings, match="API_SERVER_PROCESSES"):
        read_settings(WorkerSettings)
