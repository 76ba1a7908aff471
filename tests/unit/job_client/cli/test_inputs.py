"""Payloads and jobs from arguments, files and lines."""

import io
from pathlib import Path
from typing import Any

import pytest

from job_client.cli import inputs
from job_client.cli.inputs import (
    WrongInput,
    job_fields,
    parse_json,
    payload_of_pairs,
    read_lines,
    read_payload,
)


def test_pairs_are_text_or_json() -> None:
    pairs = ["input=hello=x", "count:=3", 'list:=[1, "a"]', "empty=", "url=http://x:=y"]
    assert payload_of_pairs(pairs) == {
        "input": "hello=x",
        "count": 3,
        "list": [1, "a"],
        "empty": "",
        "url": "http://x:=y",
    }


@pytest.mark.parametrize(
    ("pairs", "problem"),
    [
        (["hello"], "is not key=value"),
        (["=x"], "is not key=value"),
        ([":=x"], "is not key=value"),
        (["a=1", "a=2"], "'a' is given twice"),
        (["a:=x"], "a:=x is not JSON"),
        (["a:=NaN"], "NaN is no JSON value"),
    ],
)
def test_other_pairs_are_refused(pairs: list[str], problem: str) -> None:
    with pytest.raises(WrongInput, match=problem):
        payload_of_pairs(pairs)


def test_a_payload_comes_from_one_source(tmp_path: Path) -> None:
    file = tmp_path / "payload.json"
    file.write_text('{"a": 1}')
    assert read_payload([], None, None) == {}
    assert read_payload([], '{"a": 2}', None) == {"a": 2}
    assert read_payload([], None, str(file)) == {"a": 1}
    with pytest.raises(WrongInput, match="give the payload once"):
        read_payload(["a=1"], "{}", None)
    with pytest.raises(WrongInput, match="cannot be read: No such file"):
        read_payload([], None, str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"{", "is not JSON: Expecting property name"),
        (b"\xff", "is not JSON: it is not UTF-8"),
        (b"[" * 100_000, "is not JSON: it is nested too deeply"),
        (b'{"a": 1, "a": 2}', "the key 'a' comes twice"),
        (b"1" * 5000, "is not JSON: Exceeds the limit"),
        (b" " * (inputs.MAX_INPUT + 1), "must have at most"),
    ],
    ids=range(6),
)
def test_what_is_not_json_is_refused_with_the_reason(text: bytes, problem: str) -> None:
    with pytest.raises(WrongInput, match=problem):
        parse_json(text, "--data")


def test_lines_have_numbers_and_empty_ones_are_skipped() -> None:
    source = io.BytesIO(b'{"a": 1}\n\n  \r\n{"a": 2}')
    assert list(read_lines(source, "f")) == [(1, {"a": 1}), (4, {"a": 2})]
    with pytest.raises(WrongInput, match=r"f, line 2, must be a JSON object"):
        list(read_lines(io.BytesIO(b"{}\n[]"), "f"))


def test_a_line_is_a_payload_if_the_type_is_known() -> None:
    assert job_fields({"type": "x"}, "compute", "f") == {"type": "compute", "payload": {"type": "x"}}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"input": "x"}, "has 'input'; a job has type, payload, labels, id"),
        ({"payload": {}}, "has no type"),
        ({"type": "x", "labels": ["a"]}, "has labels that are no JSON object"),
    ],
)
def test_a_line_that_is_no_job_is_refused(line: dict[str, Any], problem: str) -> None:
    with pytest.raises(WrongInput, match=problem):
        job_fields(line, None, "f, line 1,")
