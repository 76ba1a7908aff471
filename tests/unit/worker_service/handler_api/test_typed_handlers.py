"""A handler gets its payload as the type that it declares, and its result is stored as JSON."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from contract_runtime.structs import struct_to_dict
from tests.unit.worker_service import typed_handlers
from worker_service import Job
from worker_service.execution.executor import Executor
from worker_service.execution.outcome import Failed, Outcome, Succeeded
from worker_service.handler_api.handler import handlers_in
from worker_service.handler_api.job import mark_started
from worker_service.handler_api.typed_call import MAX_PROBLEMS

SPECS = {spec.type: spec for spec in handlers_in(typed_handlers)}
REQUEST = {"url": "http://a/b.png", "size": {"width": 3, "height": 4}, "tags": ["a"]}
WAYS = ["typed-async", "typed-thread", "typed-process", "typed-loop"]


@pytest_asyncio.fixture(scope="module")
async def executor() -> AsyncIterator[Executor]:
    executor = Executor(threads=1, processes=1)
    yield executor
    await executor.close()


async def run(executor: Executor, job_type: str, payload: dict[str, Any]) -> Outcome:
    return await executor.run(SPECS[job_type], Job("0190-id", job_type, 1, payload))


@pytest.mark.parametrize("way", WAYS)
async def test_each_way_of_running_gives_the_declared_type_and_stores_the_result(
    executor: Executor, way: str
) -> None:
    assert await run(executor, way, REQUEST) == Succeeded.with_result({"area": 12, "made_on": "2026-01-02"})


@pytest.mark.parametrize("way", WAYS)
async def test_a_payload_that_does_not_fit_fails_for_good_and_names_the_fields(
    executor: Executor, way: str
) -> None:
    outcome = await run(executor, way, {"size": {"width": "wide", "height": 4}, "tags": ["a", None]})

    assert outcome == Failed(
        "INVALID_INPUT",
        "url: Field required; "
        "size.width: Input should be a valid integer, unable to parse string as an integer; "
        "tags[1]: Input should be a valid string",
        permanent=True,
    )


async def test_a_message_names_ten_problems_at_most(executor: Executor) -> None:
    for count in (MAX_PROBLEMS, MAX_PROBLEMS + 1):
        outcome = await run(executor, "typed-async", {**REQUEST, "tags": [0] * count})
        assert isinstance(outcome, Failed)
        assert outcome.message.count("tags[") == MAX_PROBLEMS


@pytest.mark.parametrize(
    ("payload", "outcome"),
    [
        ({"kind": "circle", "radius": 1}, Succeeded.with_result({"kind": "Circle"})),
        ({"kind": "rectangle", "sides": [1, 2]}, Succeeded.with_result({"kind": "Rectangle"})),
    ],
)
async def test_a_union_of_models_is_decided_by_the_payload(
    executor: Executor, payload: dict[str, Any], outcome: Outcome
) -> None:
    assert await run(executor, "shape", payload) == await run(executor, "tagged", payload) == outcome
    refused = await run(executor, "shape", {"kind": "triangle"})
    assert isinstance(refused, Failed)
    assert refused.permanent


async def test_a_typed_dict_is_checked_on_both_sides(executor: Executor) -> None:
    assert await run(executor, "names", {"first": "ada"}) == Succeeded.with_result({"first": "ADA"})
    assert await run(executor, "names", {"last": "x"}) == Failed(
        "INVALID_INPUT", "first: Field required", permanent=True
    )


async def test_a_dict_is_handed_over_as_it_is(executor: Executor) -> None:
    payload = {"any": [1, {"thing": None}]}
    assert await run(executor, "plain", payload) == Succeeded.with_result(payload)


@pytest.mark.parametrize(
    ("payload", "message"),
    [({"area": "large"}, "result: "), ({"none": 1}, "result: Input should be a dictionary or an instance")],
)
async def test_a_result_of_another_type_fails_for_good(
    executor: Executor, payload: dict[str, Any], message: str
) -> None:
    outcome = await run(executor, "wrong-result", payload)
    assert isinstance(outcome, Failed)
    assert (outcome.reason, outcome.permanent) == ("INVALID_RESULT", True)
    assert outcome.message.startswith(message)


@pytest.mark.parametrize("way", ["facts-async", "facts-process"])
async def test_the_job_tells_its_labels_its_tries_and_its_deadline(executor: Executor, way: str) -> None:
    before = datetime.now(UTC)
    job = Job("0190-id", way, 1, {}, {"team": "x"}, 5, timeout=60.0)
    assert job.deadline is None

    outcome = await executor.run(SPECS[way], job, seconds=60.0)

    assert isinstance(outcome, Succeeded)
    facts = struct_to_dict(outcome.result)
    assert (facts["labels"]["team"], facts["tries"]) == ("x", 5)
    deadline = datetime.fromisoformat(facts["deadline"])
    assert before <= deadline - timedelta(seconds=60) <= datetime.now(UTC)


def test_a_job_without_a_limit_has_no_deadline() -> None:
    for seconds in (None, 1e300):
        job = Job("0190-id", "x", 1, {}, timeout=seconds)
        mark_started(job)
        assert job.deadline is None
