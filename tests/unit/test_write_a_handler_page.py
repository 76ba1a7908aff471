"""The code of docs/howto/write-a-handler.md does what the page says."""

import json
import re
import sys
from pathlib import Path

import pytest

from service_runtime.structs import struct_to_dict
from worker_service import Job
from worker_service.executor import Executor
from worker_service.outcome import Failed, Succeeded
from worker_service.registry import load_handlers

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "write-a-handler.md").read_text()


def only(pattern: str) -> str:
    [found] = re.findall(pattern, PAGE, re.DOTALL)
    assert isinstance(found, str)
    return found


async def test_the_page_s_handler_gives_the_page_s_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = only(r"```python\n(.*?)```")
    assert len([line for line in code.splitlines() if line]) < 20
    module = only(r"Save this as `(\w+)\.py`")
    assert only(r"WORKER_HANDLERS=(\w+)") == module
    (tmp_path / f"{module}.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    request = json.loads(only(r"-d '(\{.*?\})'"))
    executor = Executor(threads=1, processes=1)

    spec = load_handlers([module], tmp_path)[request["type"]]
    outcome = await executor.run(spec, Job("0190-id", request["type"], 1, request["payload"]))

    assert isinstance(outcome, Succeeded)
    assert struct_to_dict(outcome.result) == json.loads(only(r"its result is `(.*?)`"))
    wrong = await executor.run(spec, Job("0190-id", request["type"], 1, {}))
    assert wrong == Failed("INVALID_INPUT", "text: must be a string", permanent=True)
    del sys.modules[module]
    await executor.close()
