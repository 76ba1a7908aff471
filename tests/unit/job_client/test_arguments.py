"""For any object as an argument, the client says what is wrong and goes on with the other jobs."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, fields
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from job_client import AsyncJobClient, InvalidArgument, JobClientError, Limits, NewJob, RetryPolicy
from job_client.new_job import EncodedJob, encode
from tests.unit.job_client.odd_values import ID, ODD, Hostile, hostile
from tests.unit.job_client.test_calls import Counting
from tests.unit.worker_service.job_service_fake import serving


@dataclass(frozen=True)
class Odd:
    """Stands for ODD[index], because hypothesis itself cannot handle some of these objects."""

    index: int


def made(value: Any) -> Any:
    """The value, with each Odd replaced by its object."""
    match value:
        case Odd(index):
            return ODD[index]()
        case list() | tuple():
            return type(value)(map(made, value))
        case dict():
            return {key: made(item) for key, item in value.items()}
        case NewJob() | RetryPolicy():
            return type(value)(**{each.name: made(getattr(value, each.name)) for each in fields(value)})
    return value


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.characters() | st.binary()
    | st.complex_numbers() | st.datetimes() | st.dates() | st.timedeltas() | st.uuids()
    | st.integers(0, len(ODD) - 1).map(Odd),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner)
    | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    | st.builds(RetryPolicy, inner, inner, inner, inner, inner),
    max_leaves=6,
)  # fmt: skip
any_jobs = st.builds(
    NewJob,
    st.just("compute") | anything,
    st.just({}) | anything,
    st.just({}) | anything,
    st.none() | anything,
    st.none() | anything,
    st.none() | anything,
    st.none() | anything,
    st.none() | anything,
)


def encoded_or_error(job: Any) -> EncodedJob | InvalidArgument:
    try:
        return encode(job)
    except InvalidArgument as error:
        return error


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(anything | any_jobs)
def test_any_object_is_encoded_or_refused_with_a_short_message(job: Any) -> None:
    match encoded_or_error(made(job)):
        case InvalidArgument() as error:
            [violation] = error.violations
            assert violation.rule
            assert violation.description
            assert len(str(error)) < 2000
        case encoded:
            assert isinstance(encoded, EncodedJob)
            assert encoded.request().id == encoded.id


@pytest.mark.parametrize(
    "field",
    [
        "type",
        "payload",
        "labels",
        "id",
        "schedule_time",
        "expire_time",
        "attempt_timeout",
        "retry_policy",
        "notify",
    ],
)
@pytest.mark.parametrize("make", ODD, ids=range(len(ODD)))
def test_the_refusal_of_an_odd_value_names_its_field(field: str, make: Callable[[], Any]) -> None:
    outcome = encoded_or_error(NewJob(**{"type": "compute", field: make()}))
    if isinstance(outcome, InvalidArgument):
        assert outcome.violations[0].field.split(".")[0].split("[")[0] == field


def jobs_with_odd_values() -> Iterator[Any]:
    for make in ODD:
        yield make()
        for field in ("type", "payload", "labels", "id", "schedule_time", "retry_policy"):
            yield NewJob(**{"type": "compute", field: make()})
        yield NewJob("compute")


@pytest.mark.parametrize("is_async", [False, True])
async def test_wrong_items_of_create_many_do_not_stop_the_others(is_async: bool) -> None:
    async def source() -> AsyncIterator[Any]:
        for job in jobs_with_odd_values():
            yield job

    good = bad = 0
    async with (
        serving(Counting().calls) as address,
        AsyncJobClient(address, limits=Limits(pending_jobs=10)) as client,
    ):
        jobs: Any = source() if is_async else jobs_with_odd_values()
        async for outcome in client.submit_many(jobs):
            if outcome.error is None:
                good += 1
            else:
                bad += 1
                assert isinstance(outcome.error, InvalidArgument)
                assert outcome.id == ""
                with pytest.raises(InvalidArgument):
                    outcome.result()
    assert good + bad == sum(1 for _ in jobs_with_odd_values())
    assert good >= len(ODD)
    assert bad >= 4 * len(ODD)


@pytest.mark.parametrize("make", ODD, ids=range(len(ODD)))
async def test_calls_with_odd_arguments_raise_only_invalid_argument(make: Callable[[], Any]) -> None:
    async with serving(Counting().calls) as address, AsyncJobClient(address) as client:
        reads = [client.get(make()), client.wait(make()), client.get_many([ID, make()])]
        wrong: list[dict[str, Any]] = [
            {"job_type": make()},
            {"payload": make()},
            {"labels": make()},
            {"id": make()},
        ]
        creates = [client.submit(**{"job_type": "compute", "payload": {}, **each}) for each in wrong]
        answers = await asyncio.gather(*reads, *creates, return_exceptions=True)
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    for error in errors:
        assert isinstance(error, InvalidArgument)
        assert error.violations[0].field.split(".")[0].split("[")[0] in {
            "id",
            "ids",
            "type",
            "payload",
            "labels",
        }


NOT_SECONDS: list[Callable[[], Any]] = [
    Hostile,
    lambda: hostile(Fraction, 1),
    *(
        partial(deepcopy, each)
        for each in ("5", True, math.nan, 10**400, 1j, Decimal(1), b"1", timedelta(1), [1])
    ),
]


@pytest.mark.parametrize("make", NOT_SECONDS, ids=range(len(NOT_SECONDS)))
async def test_a_timeout_that_is_not_a_number_of_seconds_is_refused(make: Callable[[], Any]) -> None:
    limit = make()
    with pytest.raises((TypeError, ValueError), match="timeout"):
        AsyncJobClient(timeout=limit)
    async with serving(Counting().calls) as address, AsyncJobClient(address) as client:
        for call in (
            client.get(ID, timeout=limit),
            client.wait(ID, timeout=limit),
            client.get_many([ID], timeout=limit),
            client.submit("compute", {}, timeout=limit),
            anext(client.submit_many([NewJob("compute")], timeout=limit)),
        ):
            with pytest.raises((TypeError, ValueError), match="timeout"):
                await asyncio.wait_for(call, 30)


@pytest.mark.parametrize("limit", [math.inf, 10**9, Fraction(99, 2), 30])
async def test_a_timeout_may_have_any_size(limit: Any) -> None:
    async with serving(Counting().calls) as address, AsyncJobClient(address, timeout=limit) as client:
        await client.submit("compute", {}, timeout=limit)
        await client.wait(ID, timeout=limit)
        assert len(await client.get_many([ID], timeout=limit)) == 1
        assert [each.error async for each in client.submit_many([NewJob("compute")], timeout=limit)] == [None]


@pytest.mark.parametrize("limit", [0, -5, -math.inf])
async def test_a_timeout_of_zero_or_less_is_over_at_once(limit: float) -> None:
    async with serving(Counting().calls) as address, AsyncJobClient(address) as client:
        for call in (client.get(ID, timeout=limit), client.submit("compute", {}, timeout=limit)):
            with pytest.raises(JobClientError) as caught:
                await asyncio.wait_for(call, 30)
            assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    "options",
    [
        {"address": 5},
        {"credentials": "x"},
        {"token": 5},
        {"control_address": 4000},
        {"limits": {"pending_jobs": 9}},
    ],
)
def test_an_option_of_a_wrong_type_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="must be"):
        AsyncJobClient(**options)


@pytest.mark.parametrize(
    "limits", [{"calls_in_flight": True}, {"pending_jobs": "9"}, {"pending_bytes": 1.5}], ids=str
)
def test_a_limit_of_a_wrong_type_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="must be whole numbers"):
        Limits(**limits)


@pytest.mark.parametrize("source", [5, None, NewJob("compute")])
async def test_an_argument_that_is_not_iterable_is_a_type_error(source: Any) -> None:
    async with serving(Counting().calls) as address, AsyncJobClient(address) as client:
        with pytest.raises(TypeError):
            await anext(client.submit_many(source))
        with pytest.raises(TypeError):
            await client.get_many(source)
