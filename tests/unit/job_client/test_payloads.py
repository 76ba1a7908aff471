"""Payloads of the caller's types, and results as the type that the caller names."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, NotRequired, TypedDict

import pytest
from pydantic import BaseModel, Field

from job_client import InvalidArgument, NewJob, ResultMismatch
from job_client.new_job import encode
from job_client.payloads import plain_payload
from job_client.results import check_result_type, typed_result

JOB_ID = "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"


class Colour(Enum):
    RED = "red"


@dataclass
class Size:
    width: int
    height: int


@dataclass
class Request:
    sizes: list[Size]
    colour: Colour = Colour.RED
    ratio: float = 1.0
    names: dict[str, tuple[int, ...]] = field(default_factory=dict)
    mode: Literal["fast", "good"] = "fast"
    note: str | None = None


class Model(BaseModel):
    width: int = Field(ge=1)
    inner_name: str = Field(alias="innerName")


class Answer(TypedDict):
    path: str
    sizes: list[Size]
    note: NotRequired[str]


REQUEST = Request([Size(1, 2)], names={"a": (1, 2)}, note="x")
PLAIN = {
    "sizes": [{"width": 1, "height": 2}],
    "colour": "red",
    "ratio": 1.0,
    "names": {"a": [1, 2]},
    "mode": "fast",
    "note": "x",
}


def test_dataclasses_models_and_typed_dicts_are_payloads() -> None:
    assert plain_payload(REQUEST) == PLAIN
    assert plain_payload(Model(width=3, innerName="n")) == {"width": 3, "innerName": "n"}
    answer = Answer(path="p", sizes=[])
    assert plain_payload(answer) == answer
    assert encode(NewJob("compute", REQUEST)).request().payload["ratio"] == 1.0


def test_results_come_back_as_the_type_that_was_named() -> None:
    assert typed_result(PLAIN, Request, JOB_ID) == REQUEST
    assert typed_result({"width": 3, "innerName": "n"}, Model, JOB_ID) == Model(width=3, innerName="n")
    answer = typed_result({"path": "p", "sizes": [{"width": 1, "height": 2}], "new": 1}, Answer, JOB_ID)
    assert answer == {"path": "p", "sizes": [Size(1, 2)]}
    assert typed_result({"a": [1]}, dict, JOB_ID) == {"a": [1]}
    assert typed_result({"a": [1]}, dict[str, list[int]], JOB_ID) == {"a": [1]}
    assert typed_result(None, dict, JOB_ID) == {}


def test_a_whole_number_is_a_float_and_a_missing_field_has_its_default() -> None:
    request = typed_result({"sizes": [], "ratio": 2}, Request, JOB_ID)
    assert request == Request([], ratio=2.0)
    assert type(request.ratio) is float


@pytest.mark.parametrize(
    ("result", "wanted", "problem"),
    [
        (
            {"sizes": [{"width": "1", "height": 2}]},
            Request,
            "result.sizes[0].width: must be int, is of type str",
        ),
        (
            {"sizes": [{"width": True, "height": 2}]},
            Request,
            "result.sizes[0].width: must be int, is of type bool",
        ),
        ({"sizes": {}}, Request, "result.sizes: must be a list, is of type dict"),
        ({"sizes": [5]}, Request, "result.sizes[0]: must be an object, is of type int"),
        ({}, Request, "result.sizes: is missing"),
        ({"sizes": [], "mode": "slow"}, Request, "result.mode: must be one of ('fast', 'good')"),
        ({"sizes": [], "colour": "blue"}, Request, "'blue' is not a valid Colour"),
        ({"sizes": [], "note": 5}, Request, "result.note: must be str, is of type int"),
        ({"path": 5, "sizes": []}, Answer, "result.path: must be str"),
        ({"width": 0, "innerName": "n"}, Model, "width"),
        ({"a": ["x"]}, dict[str, list[int]], "result.a[0]: must be int"),
    ],
)
def test_a_result_that_does_not_fit_names_the_place(result: Any, wanted: Any, problem: str) -> None:
    with pytest.raises(ResultMismatch) as caught:
        typed_result(result, wanted, JOB_ID)
    assert problem in caught.value.message
    assert JOB_ID in caught.value.message
    assert caught.value.reason == "CLIENT_RESULT_MISMATCH"


@pytest.mark.parametrize("wanted", [int, str, list, list[int], Size(1, 2), "Size", None])
def test_a_result_is_an_object(wanted: Any) -> None:
    with pytest.raises(
        TypeError, match="result must be a dataclass, a pydantic model, a TypedDict or dict, is"
    ):
        check_result_type(wanted)


@pytest.mark.parametrize("payload", ["{}", b"", 5, [1], None, Size, Model, (("a", 1),)])
def test_a_payload_that_is_no_object_is_refused(payload: Any) -> None:
    with pytest.raises(
        InvalidArgument, match="payload: must be an object: a dict, a dataclass or a pydantic"
    ):
        encode(NewJob("compute", payload))


def test_a_value_that_json_lacks_is_named_in_a_dataclass_too() -> None:
    wrong: Any = Request([Size(1, 2)], names={"a": {1}})  # type: ignore[dict-item]
    with pytest.raises(InvalidArgument, match=r"payload\.names\.a"):
        encode(NewJob("compute", wrong))
