"""What a worker registers about its handlers."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field
from structlog.testing import capture_logs

from api_server.rpc.registration import handler_schemas as taken
from contract_runtime.schemas import MAX_SCHEMA_BYTES
from job_client._gen.jobs.v1.fleet_service_pb2 import RegisterWorkerRequest
from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity
from tests.unit.worker_service import sample_handlers, typed_handlers
from worker_service.control import handler_schemas as sent
from worker_service.control.handler_schemas import handler_schemas
from worker_service.handler_api.handler import HandlerSpec, handlers_in
from worker_service.handler_api.json_schema import NoSchema, schemas_of

SPECS = {spec.type: spec for spec in handlers_in(typed_handlers)}


def test_typed_handlers_have_schemas_that_a_server_takes() -> None:
    found = handler_schemas(SPECS | {spec.type: spec for spec in handlers_in(sample_handlers)})
    assert [each.type for each in found] == [
        *["typed-async", "typed-thread", "typed-process", "typed-loop"],
        *["shape", "tagged", "names", "wrong-result"],
    ]
    by_type = {each.type: each for each in found}
    payload = json.loads(by_type["typed-async"].payload_schema)
    assert payload["properties"]["size"] == {"$ref": "#/$defs/Size"}
    assert json.loads(by_type["typed-async"].result_schema)["required"] == ["area", "made_on"]
    assert by_type["shape"].result_schema == by_type["wrong-result"].payload_schema == ""
    worker = WorkerIdentity(types=list(by_type))
    assert len(taken(RegisterWorkerRequest(worker=worker, schemas=found))) == len(found)


@dataclass
class Exact:
    number: Annotated[int, Field(le=2**63 - 1)]


def test_a_number_that_is_not_exact_in_json_is_sent_as_the_nearest_one() -> None:
    def run(payload: Exact) -> dict[str, Any]: ...  # type: ignore[empty-body]

    assert json.loads(schemas_of(run).payload)["properties"]["number"]["maximum"] == 2.0**63


class Described(BaseModel):
    pass


def described(length: int) -> type[BaseModel]:
    return type("Described", (Described,), {"__doc__": "x" * length})


def test_a_schema_above_32_kib_is_left_out_and_logged() -> None:
    def run(payload: Any) -> dict[str, Any]: ...  # type: ignore[empty-body]

    run.__annotations__["payload"] = described(1)
    rest = MAX_SCHEMA_BYTES - len(schemas_of(run).payload) + 1
    specs = {}
    for name, length in (("full", rest), ("too-large", rest + 1)):

        def each(payload: Any) -> dict[str, Any]: ...  # type: ignore[empty-body]

        each.__annotations__["payload"] = described(length)
        specs[name] = HandlerSpec(name, each, "thread")

    with capture_logs() as lines:
        [found] = handler_schemas(specs)

    assert (found.type, len(found.payload_schema)) == ("full", MAX_SCHEMA_BYTES)
    assert [(line["event"], line["type"]) for line in lines] == [("schema_left_out", "too-large")]


def test_schemas_beyond_the_limit_of_all_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"typed-async": SPECS["typed-async"]}
    [schema] = handler_schemas(one)
    size = len(schema.payload_schema + schema.result_schema)
    monkeypatch.setattr(sent, "MAX_SCHEMAS_BYTES", size)
    assert handler_schemas(one) == [schema]
    monkeypatch.setattr(sent, "MAX_SCHEMAS_BYTES", size - 1)
    assert handler_schemas(one) == []


class Odd:
    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(lambda value: value)


def test_a_type_without_a_json_schema_still_runs() -> None:
    @dataclass
    class WithOdd:
        odd: Odd

    def run(payload: Any) -> dict[str, Any]:
        return {"odd": payload.odd}

    run.__annotations__["payload"] = WithOdd
    with pytest.raises(NoSchema, match=r"WithOdd.* has no JSON Schema"):
        schemas_of(run)
    assert handler_schemas({"x": HandlerSpec("x", run, "thread")}) == []
