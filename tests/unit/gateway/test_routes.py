"""The routes of envoy.yaml, compared with the contract that they are written from."""

import re
from functools import cache
from typing import Any

import pytest
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, MethodOptions
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import DESCRIPTOR as EMPTY

from contract_runtime import limits, rest
from gateway import routes, validate, yaml_text
from gateway.configure import BASE_FILE
from job_client._gen.jobs.v1.options_pb2 import Repeats, ServiceLimits, Waits
from job_client._gen.jobs.v1.options_pb2 import limits as limits_option
from job_client._gen.jobs.v1.options_pb2 import repeats as repeats_option
from job_client._gen.jobs.v1.options_pb2 import timeout as timeout_option
from job_client._gen.jobs.v1.options_pb2 import waits as waits_option

TEXT = BASE_FILE.read_text(encoding="utf-8")
CALLS = [method for service in routes.SERVICES.values() for method in service.methods]
EACH_CALL = pytest.mark.parametrize("method", CALLS, ids=lambda method: method.name)
ATTEMPT = Duration(seconds=1)


@cache
def virtual_host(service: str) -> dict[str, Any]:
    """The virtual host of the listener that serves the service."""
    listeners = yaml_text.load(TEXT)["static_resources"]["listeners"]
    [manager] = [
        config
        for listener in listeners
        for config in [listener["filter_chains"][0]["filters"][-1]["typed_config"]]
        if any(
            rest.twin_of(service) in each["typed_config"].get("services", ())
            for each in config["http_filters"]
        )
    ]
    host: dict[str, Any] = manager["route_config"]["virtual_hosts"][0]
    return host


def route_of(method: MethodDescriptor, headers: set[str], rest_path: str = "") -> dict[str, Any]:
    """The route of a call of the method with these headers: a gRPC call, or one of its twin for REST.

    `rest_path`: of the REST request from which the transcoder made the call.
    """
    assert method.containing_service
    service = method.containing_service.full_name
    if rest_path:
        return first_route(method, f"/{rest.twin_of(service)}/{method.name}", headers, rest_path)
    native, by_rest = (
        first_route(method, f"/{name}/{method.name}", headers) for name in (service, rest.twin_of(service))
    )
    assert native == by_rest
    return native


def first_route(
    method: MethodDescriptor, path: str, headers: set[str], rest_path: str = ""
) -> dict[str, Any]:
    """The first route that matches, as Envoy chooses it."""
    assert method.containing_service
    for route in virtual_host(method.containing_service.full_name)["routes"]:
        match = route["match"]
        conditions = {each["name"]: each for each in match.get("headers", ())}
        wanted = conditions.pop("x-envoy-original-path", None)
        has_path = wanted is None or re.fullmatch(wanted["string_match"]["safe_regex"]["regex"], rest_path)
        if "grpc" in match and conditions.keys() <= headers and has_path and matches(match, path):
            found: dict[str, Any] = route
            return found
    raise AssertionError(f"no route for {path}")


def matches(match: dict[str, Any], path: str) -> bool:
    if "safe_regex" in match:
        return re.fullmatch(match["safe_regex"]["regex"], path) is not None
    return path == match["path"] if "path" in match else path.startswith(match["prefix"])


def test_the_file_agrees_with_the_contract() -> None:
    assert routes.disagreements(TEXT) == []
    assert routes.with_routes(TEXT) == TEXT


@EACH_CALL
def test_a_call_is_repeated_only_if_the_contract_calls_it_safe(method: MethodDescriptor) -> None:
    repeats = limits.repeats_of(method)
    header = {repeats.idempotency_header} - {""} if repeats else set()

    assert ("retry_policy" in route_of(method, header)["route"]) == (repeats is not None)
    assert "retry_policy" not in route_of(method, set())["route"] or not header


@EACH_CALL
def test_each_call_has_the_time_outs_of_the_contract(method: MethodDescriptor) -> None:
    repeats = limits.repeats_of(method) or Repeats()
    route = route_of(method, {repeats.idempotency_header})["route"]

    assert route["timeout"] == ("0s" if method.server_streaming else "15s")
    if repeats.HasField("attempt_timeout"):
        assert route["retry_policy"]["per_try_timeout"] == f"{repeats.attempt_timeout.seconds}s"
        assert ("hedge_policy" in route) == repeats.hedged


WAITING = [method for method in CALLS if limits.waits_of(method)]
EACH_WAITING_CALL = pytest.mark.parametrize("method", WAITING, ids=lambda method: method.name)
EACH_KEY = pytest.mark.parametrize("key", [set(), {"idempotency-key"}], ids=["", "with a key"])


@EACH_WAITING_CALL
@EACH_KEY
@pytest.mark.parametrize(
    ("headers", "rest_path"),
    [
        ({"jobs-wait"}, ""),
        (set(), "/jobs?wait=1s"),
        (set(), "/jobs/x?wait="),
        (set(), "/jobs?a=b&wait=1s&c=d"),
    ],
)
def test_a_call_that_waits_is_neither_cut_nor_sent_again_early(
    method: MethodDescriptor, key: set[str], headers: set[str], rest_path: str
) -> None:
    route = route_of(method, headers | key, rest_path)

    assert route["route"]["timeout"] == "75s"
    assert "hedge_policy" not in route["route"]
    assert "per_try_timeout" not in route["route"].get("retry_policy", {})
    assert route["request_headers_to_remove"] == ["jobs-wait-limit"]
    # It is sent again when its server is lost, if that is safe.
    repeats = limits.repeats_of(method)
    assert repeats is not None
    is_safe = not repeats.idempotency_header or bool(key)
    assert ("retry_policy" in route["route"]) == is_safe


@EACH_WAITING_CALL
@EACH_KEY
@pytest.mark.parametrize("rest_path", ["", "/jobs", "/jobs/wait=1s", "/jobs?await=1s", "/jobs?x=wait=1s"])
def test_the_server_learns_when_a_call_must_be_answered_that_does_not_announce_its_wait(
    method: MethodDescriptor, key: set[str], rest_path: str
) -> None:
    route = route_of(method, key, rest_path)

    per_try = route["route"].get("retry_policy", {}).get("per_try_timeout")
    [added] = route["request_headers_to_add"]
    assert added["header"]["key"] == "jobs-wait-limit"
    assert added["header"]["value"] + "s" == (per_try or route["route"]["timeout"])
    assert added["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"


def test_no_route_and_no_transcoder_names_fleet_service() -> None:
    assert "FleetService" not in TEXT


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("per_try_timeout: 5s", "per_try_timeout: 6s", "the calls of jobs.v1.JobService differ"),
        ("path: /start", "path: /begin", "the wrong methods of jobs.v1.WorkerService differ"),
        ("BEGIN calls of jobs.v1.JobService", "", "listener jobs has no marked calls of jobs.v1.JobService"),
        (
            "services: [jobs.v1.rest.JobService]",
            "services: [jobs.v1.FleetService]",
            "FleetService, which is not the twin of a service",
        ),
        (
            "max_request_bytes: 4194304",
            "max_request_bytes: 1",
            "max_request_bytes is 1, the contract has 4194304",
        ),
        (
            "max_request_body_size: 4194304",
            "max_request_body_size: 2",
            "max_request_body_size is 2, the contract",
        ),
        ("max_response_body_size: 33554432", "max_response_body_size: 3", "max_response_body_size is 3, the"),
    ],
)
def test_a_file_that_differs_is_refused_by_name(old: str, new: str, complaint: str) -> None:
    assert old in TEXT

    assert complaint in "\n".join(routes.disagreements(TEXT.replace(old, new)))


def test_validate_fails_before_envoy_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(validate, "disagreements", lambda _text: ["something differs"])

    assert validate.main() == 1
    assert capsys.readouterr().err == "envoy.yaml: something differs\n"


# A made-up service, for options that no call of the contract has.


def made_up(**methods: MethodOptions) -> ServiceDescriptor:
    file = FileDescriptorProto(name="made/up.proto", package="made", dependency=[EMPTY.name], syntax="proto3")
    service = file.service.add(name="UpService")
    service.options.Extensions[limits_option].CopyFrom(ServiceLimits(timeout=Duration(seconds=15)))
    for name, options in methods.items():
        empty = ".google.protobuf.Empty"
        service.method.add(name=name, input_type=empty, output_type=empty, options=options)
    pool = DescriptorPool()
    pool.AddSerializedFile(EMPTY.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName("made.UpService")


def options(
    repeats: Repeats | None = None, timeout: Duration | None = None, **standard: Any
) -> MethodOptions:
    made = MethodOptions(**standard)
    if repeats is not None:
        made.Extensions[repeats_option].CopyFrom(repeats)
    if timeout is not None:
        made.Extensions[timeout_option].CopyFrom(timeout)
    return made


def calls_of(service: ServiceDescriptor, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setitem(routes.CLUSTERS, service.full_name, "up")
    anchors = "- [&until_it_is_another 1, &another_host 2, &soon 3, &disabled 4]\n"
    made: list[Any] = yaml_text.load(anchors + "".join(routes.calls(service)))
    return made[1:]


def test_a_call_can_have_a_time_out_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    slow, others = calls_of(made_up(Slow=options(timeout=Duration(seconds=60))), monkeypatch)

    assert slow["match"] == {"safe_regex": {"regex": r"/made\.(rest\.)?UpService/Slow"}, "grpc": {}}
    assert slow["route"] == {"cluster": "up", "timeout": "60s"}
    assert others["route"] == {"cluster": "up", "timeout": "15s"}


def test_a_call_with_a_key_keeps_its_time_out_without_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = options(Repeats(attempt_timeout=ATTEMPT, idempotency_header="key"), Duration(seconds=60))
    with_key, without, _others = calls_of(made_up(Slow=keyed), monkeypatch)

    assert with_key["match"]["headers"] == [{"name": "key", "present_match": True}]
    assert with_key["route"]["retry_policy"]["per_try_timeout"] == "1s"
    assert without == {
        "name": "Slow",
        "match": {"safe_regex": {"regex": r"/made\.(rest\.)?UpService/Slow"}, "grpc": {}},
        "route": {"cluster": "up", "timeout": "60s"},
        "typed_per_filter_config": {"envoy.filters.http.buffer": 4},
    }


@pytest.mark.parametrize(
    "contradiction",
    [
        options(Repeats(attempt_timeout=ATTEMPT)),
        options(idempotency_level=MethodOptions.IDEMPOTENT),
        options(Repeats(hedged=True), idempotency_level=MethodOptions.NO_SIDE_EFFECTS),
        options(Repeats(idempotency_header="key")),
    ],
)
def test_a_call_has_an_attempt_time_out_exactly_if_it_is_safe_to_repeat(contradiction: MethodOptions) -> None:
    [method] = made_up(Call=contradiction).methods

    with pytest.raises(ValueError, match=r"made\.UpService\.Call: exactly the calls that are safe to repeat"):
        limits.repeats_of(method)


def test_only_calls_that_are_safe_to_repeat_are_sent_to_a_second_server() -> None:
    set_fleet, update = (
        limits.FLEET_SERVICE.methods_by_name["SetFleet"],
        limits.JOB_SERVICE.methods_by_name["UpdateStatus"],
    )

    assert limits.attempt_seconds(set_fleet) == 3.0
    with pytest.raises(ValueError, match="UpdateStatus is not safe to repeat"):
        limits.attempt_seconds(update)


@pytest.mark.parametrize(
    "incomplete", [Waits(header="a"), Waits(header="a", limit_header="b", timeout=Duration(seconds=1))]
)
def test_a_call_that_waits_has_a_field_for_it_and_all_options(incomplete: Waits) -> None:
    waiting = MethodOptions()
    waiting.Extensions[waits_option].CopyFrom(incomplete)
    [method] = made_up(Call=waiting).methods

    with pytest.raises(ValueError, match=r"made\.UpService\.Call: a call that waits has a field `wait`"):
        limits.waits_of(method)


def test_only_calls_with_the_option_wait() -> None:
    with pytest.raises(ValueError, match="List does not wait"):
        limits.longest_wait(limits.JOB_SERVICE.methods_by_name["List"], limits.JOB_SERVICE)
