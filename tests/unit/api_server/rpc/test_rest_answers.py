"""What REST answers have besides the job."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from api_server.domain.job import Job, Status
from api_server.rpc import rest_answers
from service_runtime.rest_context import RestContext

JOB = Job(
    id=UUID("0198f0a0-0000-7000-8000-000000000001"),
    type="compute",
    status=Status.QUEUED,
    payload={},
    create_time=datetime(2026, 1, 1, tzinfo=UTC),
    update_time=datetime(2026, 1, 1, tzinfo=UTC),
    revision=7,
)


class Call:
    """gRPC's context of a call with these request headers."""

    def __init__(self, *headers: tuple[str, str | bytes]) -> None:
        self._headers = headers

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return self._headers


def rest(*headers: tuple[str, str | bytes]) -> RestContext:
    return RestContext(Call(*headers))


@pytest.mark.parametrize("is_replay", [True, False])
def test_a_created_job_is_201_with_its_place_and_tag(is_replay: bool) -> None:
    context = rest()
    rest_answers.note_created(context, JOB, is_replay=is_replay)

    assert context.status == 201
    assert context.headers == {
        "location": f"/jobs/{JOB.id}",
        "etag": 'W/"7"',
        **({"idempotent-replayed": "true"} if is_replay else {}),
    }


@pytest.mark.parametrize("is_replay", [True, False])
def test_a_changed_job_has_its_tag_and_says_if_an_earlier_call_has_changed_it(is_replay: bool) -> None:
    context = rest()
    rest_answers.note_job(context, JOB, is_replay=is_replay)

    assert context.headers == {
        "etag": 'W/"7"',
        **({"idempotent-replayed": "true"} if is_replay else {}),
    }


@pytest.mark.parametrize(
    "condition", ['W/"7"', '"7"', '"1", W/"7"', '"1","7" , "8"', "*", " * ", 'W/"6",W/"7",W/"8"']
)
def test_a_version_that_the_caller_has_is_not_sent_again(condition: str) -> None:
    context = rest(("if-none-match", condition))

    assert rest_answers.is_known(context, JOB)
    assert (context.status, context.headers) == (304, {"etag": 'W/"7"'})


@pytest.mark.parametrize("headers", [(), (("if-none-match", b"\xff"),), (("if-match", 'W/"7"'),)])
def test_without_a_condition_the_job_is_sent_with_its_tag(headers: Any) -> None:
    context = rest(*headers)

    assert not rest_answers.is_known(context, JOB)
    assert (context.status, context.headers) == (None, {"etag": 'W/"7"'})


@pytest.mark.parametrize("condition", ["", '"6"', 'W/"77"', "7", '"', ",", "W/"])
def test_another_version_is_sent(condition: str) -> None:
    assert not rest_answers.is_known(rest(("if-none-match", condition)), JOB)


def test_one_of_several_headers_is_enough() -> None:
    assert rest_answers.is_known(rest(("if-none-match", '"1"'), ("if-none-match", '"7"')), JOB)


def test_a_native_call_has_none_of_it() -> None:
    context = Call(("if-none-match", "*"))
    rest_answers.note_created(context, JOB, is_replay=True)
    rest_answers.note_job(context, JOB)

    assert not rest_answers.is_known(context, JOB)


def test_the_document_has_its_tag() -> None:
    context, known = rest(), rest(("if-none-match", '"abc"'))

    assert not rest_answers.is_document_known(context, 'W/"abc"')
    assert context.headers == {
        "etag": 'W/"abc"',
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
    }
    assert rest_answers.is_document_known(known, 'W/"abc"')
    assert (known.status, known.headers) == (304, context.headers)
    assert not rest_answers.is_document_known(Call(("if-none-match", "*")), 'W/"abc"')
