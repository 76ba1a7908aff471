"""The code of docs/howto/write-a-handler.md does what the page says."""

import asyncio
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from api_server.adapters.json_schema import compile_schema
from contract_runtime.structs import struct_to_dict
from job_client.worker import run_handler
from tests.unit.worker_service.recording_listener import RecordingListener
from worker_service import Job
from worker_service.execution.executor import Executor
from worker_service.execution.outcome import Failed, Outcome, Succeeded
from worker_service.handler_api.handler import HandlerSpec, handlers_in
from worker_service.handler_api.json_schema import schemas_of
from worker_service.handler_api.progress import ProgressUpdate
from worker_service.handlers.registry import load_handlers

PAGE = (Path(__file__).parents[4] / "docs" / "howto" / "write-a-handler.md").read_text()


def only(pattern: str) -> str:
    [found] = re.findall(pattern, PAGE, re.DOTALL)
    assert isinstance(found, str)
    return found


async def test_the_page_s_handler_gives_the_page_s_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = only(r"Save this as [^`]*`\w+\.py`.*?```python\n(.*?)```")
    assert len([line for line in code.splitlines() if line]) < 20
    module = only(r"Save this as `(\w+)\.py`")
    assert only(r"WORKER_HANDLERS=(\w+)") == module
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    request = json.loads(re.findall(r"-d '(\{.*?\})'", PAGE)[0])
    executor = Executor(threads=1, processes=1)

    spec = load_handlers([module], tmp_path)[request["type"]]
    outcome = await executor.run(spec, Job("0190-id", request["type"], 1, request["payload"]))

    assert isinstance(outcome, Succeeded)
    assert struct_to_dict(outcome.result) == json.loads(only(r"its result is `(.*?)`"))
    wrong = await executor.run(spec, Job("0190-id", request["type"], 1, {}))
    assert wrong == Failed("INVALID_INPUT", "text: Field required", permanent=True)
    check_the_schema(spec)
    check_the_page_s_tests()
    del sys.modules[module]
    await executor.close()


def check_the_schema(spec: HandlerSpec) -> None:
    """What Create answers to the second request of the page."""
    schema = json.loads(schemas_of(spec.function).payload)
    request = json.loads(re.findall(r"-d '(\{.*?\})'", PAGE)[1])
    [violation] = compile_schema(schema).violations(request["payload"], 10)
    assert only(r"names the field: `(.*?)`") == f"{violation.field}: {violation.description}"


def check_the_page_s_tests() -> None:
    tests: dict[str, Any] = {}
    exec(only(r"## Test it\n.*?```python\n(.*?)```"), tests)  # noqa: S102 - the page's own code
    functions = [each for name, each in tests.items() if name.startswith("test_")]
    assert len(functions) == 2
    for each in functions:
        each()


def test_every_program_of_the_page_is_tested() -> None:
    # tests/e2e/test_write_a_handler_page.py has the two with the whole system.
    assert PAGE.count("```python\n") == 7


def test_the_page_s_handler_with_a_job_knows_its_last_attempt() -> None:
    module = ModuleType("greet_handlers")
    sys.modules[module.__name__] = module
    exec(only(r"### The job\n.*?```python\n(.*?)```"), vars(module))  # noqa: S102 - the page's own code
    first = run_handler(module.greet, {"name": "Ada"}, labels={"team": "web"})
    assert first.result == {"text": "hello Ada", "team": "web"}
    assert run_handler(module.greet, {"name": "Ada"}, attempt=3).result == {"text": "hello"}
    del sys.modules[module.__name__]


async def test_the_page_s_second_handler_raises_and_reports_as_the_page_says(tmp_path: Path) -> None:
    code = only(r"## Control retries and report progress\n\n```python\n(.*?)```")
    module = ModuleType("line_handlers")
    sys.modules[module.__name__] = module
    exec(code, vars(module))  # noqa: S102 - the page's own code
    [spec] = handlers_in(module)
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1\n2\n")
    executor, listener = Executor(threads=1, processes=1), RecordingListener()

    async def run() -> Outcome:
        job = Job("0190-id", spec.type, 1, {"paths": [str(one), str(two)]})
        return await executor.run(spec, job, listener=listener)

    assert await run() == Failed("PERMANENT_ERROR", f"there is no {two}", permanent=True)
    (tmp_path / "two.lock").touch()
    assert await run() == Failed("RETRY_AFTER", f"{two} is being written", retry_after=30)
    (tmp_path / "two.lock").unlink()
    two.write_text("3\n")
    assert await run() == Succeeded.with_result({"lines": 3})
    assert listener.updates[-2:] == [
        ProgressUpdate(0, f"reading {one}"),
        ProgressUpdate(50, f"reading {two}"),
    ]
    del sys.modules[module.__name__]
    await executor.close()


async def test_the_page_s_third_handler_stops_when_its_job_is_cancelled() -> None:
    code = only(r"A thread cannot be stopped\..*?```python\n(.*?)```")
    module = ModuleType("sum_handlers")
    sys.modules[module.__name__] = module
    exec(code, vars(module))  # noqa: S102 - the page's own code
    [spec] = handlers_in(module)
    executor, listener = Executor(threads=1, processes=1), RecordingListener()

    short = await executor.run(spec, Job("0190-id", spec.type, 1, {"count": 4}))
    endless = Job("0190-id", spec.type, 1, {"count": 10**15})
    long = await executor.run(spec, endless, seconds=0.05, listener=listener)

    assert short == Succeeded.with_result({"total": 6})
    assert isinstance(long, Failed)
    assert long.reason == "TIMEOUT"
    async with asyncio.timeout(20):
        await asyncio.wait(listener.left_running)
    async with asyncio.timeout(20):
        assert isinstance(await executor.run(spec, Job("0190-id", spec.type, 1, {"count": 4})), Succeeded)
    del sys.modules[module.__name__]
    await executor.close()
