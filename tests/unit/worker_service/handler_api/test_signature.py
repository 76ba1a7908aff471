"""Which arguments a handler gets, and what a signature that makes no sense is answered with."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import BaseModel, RootModel

from worker_service import Job, handler
from worker_service.handler_api.handler import HandlerSpec, WrongHandlers, handlers_in
from worker_service.handler_api.signature import (
    TAKES_JOB,
    HandlerSignature,
    WrongSignature,
    read_signature,
)


@dataclasses.dataclass
class Request:
    name: str


class Model(BaseModel):
    name: str


class Items(RootModel[list[int]]):
    pass


class OwnJob(Job):
    pass


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **more: Any) -> Any:
        return function(*args, **more)

    return wrapper


def untyped(job): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - a handler without types
def of_job(job: Job) -> None: ...
def of_job_text(job: "elsewhere.Job") -> int: ...  # type: ignore[name-defined, empty-body]  # noqa: F821 - not imported here
def of_anything(job: Any, verbose: bool = False) -> None: ...
def of_own_job(job: OwnJob) -> None: ...
def of_many(*jobs: Job) -> None: ...


@pytest.mark.parametrize("function", [untyped, of_job, of_job_text, of_anything, of_own_job, of_many])
def test_a_handler_of_a_job_stays_what_it_was(function: Callable[..., Any]) -> None:
    assert read_signature(function) is TAKES_JOB
    assert HandlerSpec("x", function, "thread").call is function


def plain(payload: Mapping[str, Any]) -> dict[str, Any]: ...  # type: ignore[empty-body]
def typed(payload: Request) -> Model: ...  # type: ignore[empty-body]
def typed_text(payload: "Request", job: "Job") -> "Model": ...  # type: ignore[empty-body]
def without_result(payload: Request | Model, verbose: bool = False): ...  # type: ignore[no-untyped-def]  # noqa: ANN201 - no type


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (plain, HandlerSignature(takes_payload=True)),
        (typed, HandlerSignature(True, False, Request, Model)),
        (decorated(typed), HandlerSignature(True, False, Request, Model)),
        (typed_text, HandlerSignature(True, True, Request, Model)),
        (without_result, HandlerSignature(True, False, Request | Model)),
    ],
)
def test_a_payload_is_taken_by_its_type(function: Callable[..., Any], signature: HandlerSignature) -> None:
    assert read_signature(function) == signature


def no_parameter() -> None: ...
def by_name_only(*, payload: Request) -> None: ...
def a_number(payload: int) -> None: ...
def a_list(payload: Items) -> None: ...
def half_a_union(payload: Request | str) -> None: ...
def the_wrong_order(job: Job, payload: Request) -> None: ...
def too_many(payload: Request, job: Job, more: int) -> None: ...
def no_job(payload: Request, more: int) -> None: ...
def unnamed_job(payload: Request, job) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - the mistake
def unknown(payload: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - the mistake
def no_result(payload: Request) -> None: ...
def unknown_result(payload: Request) -> "Nowhere": ...  # type: ignore[name-defined]  # noqa: F821 - the mistake


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (no_parameter, "must take the payload or a Job"),
        (by_name_only, "must take its first argument by position"),
        (a_number, "the type of payload must be a dataclass, .*is int"),
        (a_list, "the type of payload must be .*is Items"),
        (half_a_union, r"the type of payload must be .*is .*Request \| str"),
        (the_wrong_order, "takes a Job, so it must take nothing else, but needs 'payload' too"),
        (too_many, "needs 'more' too, but gets a payload and a Job"),
        (no_job, "the second parameter, 'more', must be a Job"),
        (unnamed_job, "the second parameter, 'job', must be a Job"),
        (unknown, "the type of 'payload', Nowhere, cannot be resolved"),
        (no_result, "the type of the result must be .*is NoneType"),
        (unknown_result, "the type of the result, Nowhere, cannot be resolved"),
    ],
)
def test_a_signature_that_makes_no_sense_is_refused(function: Callable[..., Any], problem: str) -> None:
    with pytest.raises(WrongSignature, match=problem):
        read_signature(function)
    with pytest.raises(WrongHandlers, match=rf"handler 'x' at .*test_signature\.py:\d+: .*{problem}"):
        _ = HandlerSpec("x", function, "thread").call


def test_a_type_that_pydantic_cannot_use_is_refused_by_its_name() -> None:
    class Odd:
        pass

    @dataclasses.dataclass
    class WithOdd:
        odd: Odd

    def run(payload: WithOdd) -> None: ...

    run.__annotations__["return"] = dict
    with pytest.raises(
        WrongHandlers, match="WithOdd cannot be used: Unable to generate pydantic-core schema"
    ):
        _ = HandlerSpec("x", run, "thread").call


def test_the_decorator_returns_the_function_unchanged() -> None:
    def run(payload: Request) -> dict[str, str]:
        return {"hello": payload.name}

    assert handler("x")(run) is run
    assert handlers_in(__import__("sys").modules[__name__])[-1].call(Job("0", "x", 1, {"name": "a"})) == {
        "hello": "a"
    }
