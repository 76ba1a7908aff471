"""The document of the contract itself."""

import json
import subprocess
import sys
from typing import Any

import protovalidate
import pytest
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass
from google.rpc.code_pb2 import Code
from openapi_spec_validator import OpenAPIV31SpecValidator

from contract_runtime import limits, rest
from gateway.openapi import __main__, examples, manners
from tests.document_schemas import errors_in, resolved
from tests.fuzz.documented import DOCUMENTED

DOCUMENT: dict[str, Any] = json.loads(__main__.FILE.read_text(encoding="utf-8"))
METHODS = {
    method.full_name: method
    for service in (limits.JOB_SERVICE, limits.WORKER_SERVICE)
    for method in service.methods
    if rest.has_rest(method)
}
OPERATIONS = {
    operation["operationId"]: operation
    for item in DOCUMENT["paths"].values()
    for verb, operation in item.items()
    if verb != "servers"
}


def operation_of(name: str) -> dict[str, Any]:
    """The first operation of a method."""
    method = METHODS[name].name
    found: dict[str, Any] = OPERATIONS[method[0].lower() + method[1:]]
    return found


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_each_rest_method_of_the_contract_is_an_operation() -> None:
    assert {operation["tags"][0] for operation in OPERATIONS.values()} == {"JobService", "WorkerService"}
    assert all(operation_of(name)["summary"] for name in METHODS)
    assert {"batchGet_body", "watch_jobs"} < set(OPERATIONS)
    assert "BatchUpdateStatus" not in "".join(OPERATIONS)


def test_operators_paths_name_their_own_server() -> None:
    for path, item in DOCUMENT["paths"].items():
        assert ("servers" in item) == (path in ("/start", "/stop", "/state"))


@pytest.mark.parametrize("name", examples.REQUESTS)
def test_each_example_of_a_request_fits_its_schema_and_the_contract(name: str) -> None:
    operation = operation_of(name)
    if "requestBody" not in operation:
        operation = OPERATIONS[f"{operation['operationId']}_body"]
    content = operation["requestBody"]["content"]["application/json"]
    value = content["examples"]["request"]["value"]

    assert errors_in(DOCUMENT, content["schema"], value) == []
    in_path = {each["name"]: each["example"] for each in operation["parameters"] if each.get("in") == "path"}
    request = json_format.ParseDict({**value, **in_path}, GetMessageClass(METHODS[name].input_type)())
    protovalidate.validate(request)


def test_each_body_has_an_example() -> None:
    with_body = {name for name in METHODS if "requestBody" in operation_of(name)}

    assert with_body <= set(examples.REQUESTS)


@pytest.mark.parametrize("name", METHODS)
def test_each_response_has_an_example_that_fits_its_schema_and_the_contract(name: str) -> None:
    answers = operation_of(name)["responses"]
    [(kind, content)] = answers["201" if "201" in answers else "200"]["content"].items()
    value = content["examples"]["response"]["value"]

    if kind == "text/event-stream":
        content, value = {"schema": content["x-event"]}, json.loads(value.removeprefix("data:"))
    assert errors_in(DOCUMENT, content["schema"], value) == []
    if METHODS[name].output_type.full_name != "google.api.HttpBody":
        json_format.ParseDict(value, GetMessageClass(METHODS[name].output_type)())


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_each_error_has_examples_that_the_reference_of_errors_knows(operation: dict[str, Any]) -> None:
    http_of = {row.code: row.http for row in DOCUMENTED}
    reasons = {(row.code, row.reason) for row in DOCUMENTED}
    for status, answer in operation["responses"].items():
        if status in ("200", "201", "304"):
            continue
        described = resolved(DOCUMENT, answer)
        assert described["description"].strip()
        content = described["content"]["application/json"]
        for example in content["examples"].values():
            value = example["value"]
            assert errors_in(DOCUMENT, content["schema"], value) == []
            if value["details"] and int(status) < 500:
                assert http_of[value["code"]] == int(status)
            for detail in value["details"]:
                if "domain" in detail and int(status) < 500:
                    assert (value["code"], detail["reason"]) in reasons


def test_the_statuses_of_codes_are_those_of_the_reference_of_errors() -> None:
    for row in DOCUMENTED:
        assert manners.HTTP_STATUS[Code.Name(row.code)] == row.http


def test_headers_stand_where_they_are_sent() -> None:
    def headers(name: str, status: str) -> set[str]:
        return set(operation_of(f"jobs.v1.JobService.{name}")["responses"][status]["headers"])

    usual = {"Request-Id", "Content-Encoding"}
    assert headers("Create", "201") == {*usual, "ETag", "Location", "Idempotent-Replayed"}
    assert headers("Get", "200") == headers("Cancel", "200") == {*usual, "ETag"}
    assert headers("Get", "304") == {"Request-Id", "ETag"}
    assert headers("List", "200") == usual


def test_only_the_response_of_create_has_warnings() -> None:
    schemas = DOCUMENT["components"]["schemas"]

    assert "warnings" not in schemas["Job"]["properties"]
    assert schemas["CreatedJob"]["required"] == ["warnings"]


def test_a_request_that_breaks_a_rule_does_not_fit() -> None:
    schema = {"$ref": "#/components/schemas/CreateRequest"}
    good = examples.REQUESTS["jobs.v1.JobService.Create"]

    for change in (
        {"type": "Compute"},
        {"labels": {"A": "x"}},
        {"nope": 1},
        {"timeout": "-1s"},
        {"retryPolicy": {"maxAttempts": 101}},
        {"notify": {"url": "ftp://example.org"}},
    ):
        assert errors_in(DOCUMENT, schema, {**good, **change})
    assert errors_in(DOCUMENT, schema, {"type": "compute"})


# The command.


def test_verify_names_the_file_that_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    contract = __main__.contract()
    monkeypatch.setattr(__main__, "contract", lambda: contract)
    monkeypatch.setattr(__main__, "FILE", tmp_path / "openapi.json")

    assert __main__.main(["verify"]) == 1
    assert "gen/openapi.json is not what proto/ generates" in capsys.readouterr().err
    assert __main__.main([]) == __main__.main(["verify"]) == 0
    assert json.loads((tmp_path / "openapi.json").read_text()) == DOCUMENT


def test_wrong_arguments_are_refused() -> None:
    ran = subprocess.run([sys.executable, "-m", "gateway.openapi", "x"], capture_output=True, check=False)

    assert (ran.returncode, ran.stderr) == (2, b"usage: python -m gateway.openapi [verify]\n")
