"""Which handlers a worker runs."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from worker_service.one_process import handlers_for
from worker_service.settings import MAX_JOB_TYPES, WorkerSettings

OWN = "tests.handlers"
BUILT_IN = {"compute", "file", "blockchain", "data"}


def settings(**values: object) -> WorkerSettings:
    return WorkerSettings.model_validate(values)


def test_by_default_a_worker_runs_all_handlers() -> None:
    assert handlers_for(settings()).keys() == BUILT_IN
    with capture_logs() as lines:
        handlers = handlers_for(settings(worker_handlers=OWN))
    assert handlers.keys() > BUILT_IN
    assert not lines


def test_a_worker_says_which_of_its_own_handlers_it_does_not_use() -> None:
    with capture_logs() as lines:
        handlers = handlers_for(settings(worker_handlers=OWN, worker_job_types="compute,gated"))
    assert list(handlers) == ["compute", "gated"]
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("handlers_not_used", "warning")
    assert "flaky" in line["types"]
    assert not {*BUILT_IN, "gated"} & set(line["types"])


def refused(capsys: pytest.CaptureFixture[str], load: Callable[[], object]) -> str:
    with pytest.raises(SystemExit) as ended:
        load()
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_type_without_a_handler_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused(capsys, lambda: handlers_for(settings(worker_job_types="compute,unknown")))
    assert "WORKER_JOB_TYPES: 'unknown' is not allowed" in told


def test_webhooks_are_delivered_only_with_a_secret(capsys: pytest.CaptureFixture[str]) -> None:
    handlers = handlers_for(settings(webhook_secret=f"whsec_{'MfKQ' * 8}"))
    assert handlers.keys() == BUILT_IN | {"webhook-delivery"}
    assert handlers["webhook-delivery"].lane == "webhook"
    told = refused(capsys, lambda: handlers_for(settings(worker_job_types="webhook-delivery")))
    assert "webhook-delivery needs WEBHOOK_SECRET" in told


def test_too_many_handlers_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = {f"type-{number}": handlers_for(settings())["compute"] for number in range(MAX_JOB_TYPES + 1)}
    monkeypatch.setattr("worker_service.one_process.load_handlers", lambda *_: handlers)
    assert f"at most {MAX_JOB_TYPES} types" in refused(capsys, lambda: handlers_for(settings()))
    handlers.popitem()
    assert len(handlers_for(settings())) == MAX_JOB_TYPES
