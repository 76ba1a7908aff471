"""A user's test runs a handler by the rules of a worker."""

import logging
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from job_client.worker import HandlerRun, run_handler
from tests.unit.worker_service.testing import handlers_to_test
from worker_service.handler_api.handler import WrongHandlers

Request = handlers_to_test.Request
ROOT = Path(__file__).parents[4]


def messages(run: HandlerRun) -> list[tuple[str, str, str]]:
    return [(line.level, line.logger, line.message) for line in run.log]


@pytest.mark.parametrize("payload", [{"name": "Ada"}, Request("Ada")])
def test_the_result_the_progress_and_the_log_are_recorded(payload: Any) -> None:
    before = logging.getLogger().level, logging.getLogger().handlers[:], structlog.get_config()

    run = run_handler(handlers_to_test.greet, payload, labels={"team": "x"})

    assert run.result == {"text": "hello Ada"}
    assert (run.reason, run.message, run.is_retried, run.retry_after) == ("", "", False, None)
    assert run.progress == [(50, "half"), (100, "")]
    assert messages(run) == [("info", "tests", "greets Ada"), ("info", "", "greeted team=x")]
    assert (logging.getLogger().level, logging.getLogger().handlers[:], structlog.get_config()) == before


async def test_it_works_inside_a_running_loop_too() -> None:
    assert run_handler(handlers_to_test.greet, Request("Ada", 2)).result == {"text": "hello Adahello Ada"}


def test_a_handler_of_a_process_runs_in_one() -> None:
    run = run_handler(handlers_to_test.greet_in_process, {"name": "Ada"})
    assert run.result == {"text": "hello Ada"}
    assert run.progress == [(100, "done")]
    assert messages(run) == [("info", "tests", "greets Ada"), ("warning", "", "in a process")]


def test_a_payload_of_another_type_fails_for_good() -> None:
    run = run_handler(handlers_to_test.greet, {"times": "x"})
    assert (run.result, run.reason, run.is_retried) == (None, "INVALID_INPUT", False)
    assert run.message.startswith("name: Field required; times: Input should be a valid integer")


@pytest.mark.parametrize(
    ("how", "attempt", "reason", "is_retried", "retry_after"),
    [
        ("permanent", 1, "PERMANENT_ERROR", False, None),
        ("later", 2, "RETRY_AFTER", True, 30),
        ("later", 3, "RETRY_AFTER", False, None),
        ("other", 2, "HANDLER_ERROR", True, None),
        ("other", 3, "HANDLER_ERROR", False, None),
    ],
)
def test_a_failure_says_whether_the_job_is_tried_again(
    how: str, attempt: int, reason: str, is_retried: bool, retry_after: float | None
) -> None:
    run = run_handler(handlers_to_test.fails, {"how": how}, attempt=attempt)
    assert (run.reason, run.is_retried, run.retry_after) == (reason, is_retried, retry_after)
    traces = [line for line in run.log if line.kind == "trace"]
    assert bool(traces) is (reason == "HANDLER_ERROR")


@pytest.mark.parametrize("limit", [0.05, timedelta(seconds=0.05)])
def test_a_handler_that_takes_too_long_fails(limit: Any) -> None:
    run = run_handler(handlers_to_test.fails, {"how": "slow"}, timeout=limit)
    assert (run.reason, run.is_retried) == ("TIMEOUT", True)


def test_what_a_worker_would_not_load_is_refused() -> None:
    with pytest.raises(WrongHandlers, match="not_declared is no handler: declare it with @handler"):
        run_handler(handlers_to_test.not_declared)
    nested: Any = handlers_to_test.nested()
    with pytest.raises(WrongHandlers, match="to run in a process it must be a module-level function"):
        run_handler(nested)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [([1], "payload: must be a dict"), ({"a": {1}}, "a: must be JSON data, is of type set")],
)
def test_a_payload_that_no_client_can_send_is_refused(payload: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        run_handler(handlers_to_test.greet, payload)


def test_the_import_needs_no_settings_and_leaves_nothing_behind() -> None:
    code = (
        "from job_client.worker import run_handler\n"
        "from tests.unit.worker_service.testing.handlers_to_test import greet\n"
        "print(run_handler(greet, {'name': 'Ada'}).result)\n"
    )
    path = os.pathsep.join([str(ROOT), str(ROOT / "gen")])
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": path, "WORKER_NAME": "not a name", "LOG_LEVEL": "wrong"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines()[-1] == "{'text': 'hello Ada'}"
