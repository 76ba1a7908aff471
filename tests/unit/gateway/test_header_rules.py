"""What the rules of envoy.yaml may rest on."""

from collections.abc import Iterator
from typing import Any

from gateway import yaml_text
from gateway.configure import BASE_FILE

JOINED_BY_ENVOY = {":method", ":path", "content-type"}
"""Envoy refuses a request that repeats the first two, and joins the values of the third."""
OVERWRITTEN_BY_ENVOY = {"x-envoy-original-path"}
"""The gateway removes what clients send."""


def matchers(part: Any) -> Iterator[dict[str, Any]]:
    """All header matchers below this part of the configuration."""
    if isinstance(part, dict):
        if "name" in part and ({"string_match", "present_match"} & part.keys()):
            yield part
        for each in part.values():
            yield from matchers(each)
    elif isinstance(part, list):
        for each in part:
            yield from matchers(each)


def managers() -> list[dict[str, Any]]:
    listeners = yaml_text.load(BASE_FILE.read_text())["static_resources"]["listeners"]
    return [each["filter_chains"][0]["filters"][-1]["typed_config"] for each in listeners]


def headers_with_one_value(manager: dict[str, Any]) -> set[str]:
    [extension] = manager["early_header_mutation_extensions"]
    appended = [each["append"] for each in extension["typed_config"]["mutations"] if "append" in each]
    return {
        each["header"]["key"]
        for each in appended
        if each["append_action"] == "OVERWRITE_IF_EXISTS"
        and each["header"]["value"] == f"%REQ({each['header']['key']})%"
        and each["keep_empty_value"]
    }


def test_a_negated_condition_reads_only_headers_that_have_one_value() -> None:
    """Envoy compares each value of a repeated header, so one good value would hide a bad one."""
    for manager in managers():
        negated = {each["name"] for each in matchers(manager) if each.get("invert_match")}

        assert negated
        assert negated <= headers_with_one_value(manager) | JOINED_BY_ENVOY


def test_a_condition_on_an_absent_header_reads_none_that_a_client_can_choose() -> None:
    for manager in managers():
        absent = {each["name"] for each in matchers(manager) if each.get("present_match") is False}

        # A preflight that says so gets no call: it is answered by the CORS filter, or refused.
        assert absent <= OVERWRITTEN_BY_ENVOY | {"access-control-request-method"}
