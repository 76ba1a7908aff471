"""What a worker may register as the schemas of its handlers, and how readers see them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from api_server.domain.handler_schema import HandlerSchema
from api_server.domain.job_type import TypeState, Waiting
from api_server.domain.schema_choice import SchemaChoice
from api_server.rpc import types_message
from api_server.rpc.registration import handler_schemas, worker_identity
from contract_runtime.errors import InvalidArgument
from contract_runtime.schemas import MAX_SCHEMA_BYTES, MAX_SCHEMAS_BYTES
from contract_runtime.structs import MAX_DEPTH, struct_to_dict
from job_client._gen.jobs.v1.fleet_service_pb2 import HandlerSchema as Message
from job_client._gen.jobs.v1.fleet_service_pb2 import RegisterWorkerRequest
from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity
from service_runtime.validation import ContractValidator

TYPES = [f"t{number}" for number in range(40)]
WORKER = WorkerIdentity(worker_id="w/1", name="w", types=TYPES)


def request(*schemas: Message) -> RegisterWorkerRequest:
    return RegisterWorkerRequest(worker=WORKER, schemas=schemas)


def of_size(size: int) -> str:
    return json.dumps({"title": "x" * (size - len('{"title": ""}'))})


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def test_the_start_of_a_worker_is_read_to_the_millisecond_and_checked() -> None:
    assert worker_identity(WORKER).start_time is None
    start = Timestamp(seconds=1, nanos=2_999_999)
    known = worker_identity(WorkerIdentity(start_time=start, version="1.2"))
    assert (known.start_time, known.version) == (datetime(1970, 1, 1, 0, 0, 1, 2000, UTC), "1.2")
    with pytest.raises(InvalidArgument, match=r"worker\.start_time: must be from year 1 to year 9999"):
        worker_identity(WorkerIdentity(start_time=Timestamp(seconds=253_402_300_800)))


def test_a_version_has_64_characters_at_most() -> None:
    validator = ContractValidator()
    validator.check(WorkerIdentity(worker_id="w/1", name="w", version="x" * 64))
    with pytest.raises(InvalidArgument, match="version: "):
        validator.check(WorkerIdentity(worker_id="w/1", name="w", version="x" * 65))


def test_schemas_are_taken_as_they_are() -> None:
    found = handler_schemas(request(Message(type="t0", payload_schema="{}"), Message(type="t1")))
    assert found == [HandlerSchema("t0", "{}", "")]
    assert found[0].id != HandlerSchema("t1", "{}", "").id != HandlerSchema("t1", "", "{}").id


def test_a_schema_has_32_kib_at_most() -> None:
    validator = ContractValidator()
    for field in ("payload_schema", "result_schema"):
        validator.check(request(Message(type="t0", **{field: of_size(MAX_SCHEMA_BYTES)})))
        too_large = request(Message(type="t0", **{field: of_size(MAX_SCHEMA_BYTES + 1)}))
        with pytest.raises(InvalidArgument, match=rf"schemas\[0\]\.{field}: "):
            validator.check(too_large)


def test_a_worker_has_256_schemas_at_most() -> None:
    validator = ContractValidator()
    validator.check(request(*[Message(type="t")] * 256))
    with pytest.raises(InvalidArgument, match="schemas: "):
        validator.check(request(*[Message(type="t")] * 257))


def test_all_schemas_of_a_worker_have_1_mib_at_most() -> None:
    full = [Message(type=each, payload_schema=of_size(MAX_SCHEMA_BYTES)) for each in TYPES[:31]]
    rest = MAX_SCHEMAS_BYTES - 31 * MAX_SCHEMA_BYTES
    assert len(handler_schemas(request(*full, Message(type="t31", result_schema=of_size(rest))))) == 32
    with pytest.raises(InvalidArgument, match="schemas: must be at most 1048576 bytes in all, are 1048577"):
        handler_schemas(
            request(*full, Message(type="t31", result_schema=of_size(rest - 20), payload_schema=of_size(21)))
        )


def test_a_schema_is_a_json_object_of_32_levels() -> None:
    handler_schemas(request(Message(type="t0", payload_schema=nested(MAX_DEPTH))))
    with pytest.raises(InvalidArgument, match="must be at most 32 levels deep"):
        handler_schemas(request(Message(type="t0", payload_schema=nested(MAX_DEPTH + 1))))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "must be a JSON object"),
        ("{", "must be JSON of at most 32 levels"),
        ('{"a":' * 6000, "must be JSON of at most 32 levels"),
        ('{"maximum":NaN}', "must be JSON of at most 32 levels"),
        ('{"maximum":9007199254740993}', "maximum: must be an integer between"),
        ('{"a\\u0000":1}', "must not have a NUL character in its key"),
        ('{"a":"\\ud800"}', "a: must be valid Unicode"),
    ],
)
@pytest.mark.parametrize("field", ["payload_schema", "result_schema"])
def test_a_text_that_is_no_schema_is_refused_by_its_field(text: str, problem: str, field: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        handler_schemas(request(Message(type="t0"), Message(type="t1", **{field: text})))
    [violation] = refusal.value.violations
    assert (violation.field, violation.rule) == (f"schemas[1].{field}", "schemas.json")
    assert problem in violation.description


@pytest.mark.parametrize("types", [["t0", "t0"], ["t0", "other"]])
def test_each_schema_is_of_one_of_the_worker_s_types(types: list[str]) -> None:
    with pytest.raises(InvalidArgument, match=r"schemas\[1\]\.type: must be one of the worker's types"):
        handler_schemas(request(*[Message(type=each, payload_schema="{}") for each in types]))


def choice(payload: Any, problem: str = "") -> SchemaChoice:
    return SchemaChoice(HandlerSchema("x", json.dumps(payload), '{"title":"Result"}'), problem)


def test_readers_see_the_schemas_until_the_answer_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(types_message, "MAX_SCHEMAS", 60)
    states = [TypeState(each, True, (), False, Waiting()) for each in ("a", "b", "c", "d")]
    choices = {
        "a": choice({"title": "Payload"}, "they differ"),
        "b": choice({"title": "x" * 30}),
        "c": SchemaChoice(None),
        "d": choice({}),
    }
    a, b, c, d = types_message.types_message(states, choices.__getitem__).types
    assert struct_to_dict(a.payload_schema) == {"title": "Payload"}
    assert struct_to_dict(a.result_schema) == {"title": "Result"}
    assert a.schema_problem == "they differ"
    assert (b.HasField("payload_schema"), b.schema_problem) == (False, types_message.LEFT_OUT)
    assert (c.HasField("payload_schema"), c.schema_problem) == (False, "")
    assert d.HasField("payload_schema")


@pytest.mark.parametrize("worker_id", ["w", "w2/1", "w/x/1", "/1"])
def test_a_worker_registers_only_an_id_that_begins_with_its_name(worker_id: str) -> None:
    assert worker_identity(WorkerIdentity(worker_id="w/1", name="w")).worker_id == "w/1"
    with pytest.raises(InvalidArgument):
        worker_identity(WorkerIdentity(worker_id=worker_id, name="w"))
