"""How handlers are declared and found, and which error each mistake causes."""

import asyncio
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_service import handler
from worker_service.handler_api.handler import HandlerSpec, WrongHandlers
from worker_service.handlers.registry import load_handlers

HEAD = "from worker_service import handler\n"
Module = Callable[[str, str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """Writes a module into the current directory. All of them are unloaded after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(name: str, text: str) -> str:
        path = tmp_path / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEAD + text)
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def load(*names: str) -> dict[str, HandlerSpec]:
    return dict(load_handlers(names, Path("files")))


def test_the_built_in_handlers_run_where_they_declare() -> None:
    ways = {job_type: spec.run_in for job_type, spec in load().items()}
    assert ways == {"compute": "loop", "file": "thread", "blockchain": "thread", "data": "process"}


def test_a_module_in_the_current_directory_adds_its_handlers(module: Module) -> None:
    own = module(
        "own_handlers", "@handler('own')\ndef run(job): ...\n@handler('other')\nasync def other(job): ...\n"
    )
    handlers = load(own, own)
    assert handlers.keys() == {"compute", "file", "blockchain", "data", "own", "other"}
    assert (handlers["own"].run_in, handlers["other"].run_in) == ("thread", "loop")
    assert handlers["own"].function is sys.modules[own].run
    assert handlers["own"].location.endswith("own_handlers.py:2")


def test_a_user_s_handler_replaces_a_built_in_one(module: Module) -> None:
    own = module("own_handlers", "@handler('compute', run_in='process')\ndef run(job): ...\n")
    assert load(own)["compute"].run_in == "process"
    assert load()["compute"].run_in == "loop"


def test_a_submodule_of_a_package_can_be_named(module: Module) -> None:
    module("package.__init__", "")
    assert "own" in load(module("package.part", "@handler('own')\ndef run(job): ...\n"))


def test_a_function_may_handle_two_types(module: Module) -> None:
    own = module("own_handlers", "@handler('a')\n@handler('b')\ndef run(job): ...\n")
    assert load(own)["a"].function is load(own)["b"].function


def test_the_error_for_a_type_declared_twice_names_both_locations(module: Module) -> None:
    first = module("first", "@handler('own')\ndef run(job): ...\n")
    second = module("second", "\n@handler('own')\ndef run(job): ...\n")
    with pytest.raises(WrongHandlers, match=r"'own' is declared twice: \S*first.py:2 and \S*second.py:3"):
        load(first, second)


def test_a_type_declared_twice_by_functions_with_the_same_name_is_refused(module: Module) -> None:
    own = module("own_handlers", "@handler('own')\ndef run(job): ...\n@handler('own')\ndef run(job): ...\n")
    with pytest.raises(WrongHandlers, match=r"own_handlers.py:2 and \S*own_handlers.py:4"):
        load(own)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import not_there", "cannot be imported: ModuleNotFoundError: No module named 'not_there' (FILE:2)"),
        ("def broken(:", "cannot be imported: SyntaxError: invalid syntax (own_handlers.py, line 2)"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero (FILE:2)"),
        ("raise SystemExit(0)", "cannot be imported: SystemExit: 0 (FILE:2)"),
        ("", 'has no handler: name the module that contains @handler("...")'),
        ("from worker_service.handlers.compute import compute", "has no handler: name the module"),
        ("@handler\ndef run(job): ...", ': write @handler("a-job-type")'),
        ("@handler('Own')\ndef run(job): ...", ": handler type 'Own': must be 1 to 63 characters a-z, 0-9,"),
        ("@handler('own', run_in='fork')\ndef run(job): ...", "'loop', 'thread' or 'process', is 'fork'"),
        ("@handler('own', run_in='thread')\nasync def run(job): ...", "make it a def to run it in a thread"),
        ("@handler('own', run_in='process')\nasync def run(job): ...", "a def to run it in a process"),
        ("@handler('own')\ndef run(job):\n  yield", "must return its result, not yield it"),
        ("@handler('own')\nclass Run: ...", "must be a function, is a type"),
        ("handler('own', run_in='process')(lambda job: {})", "it must be a module-level function"),
        (
            "def make():\n  @handler('own', run_in='process')\n  def run(job): ...\nmake()",
            "it must be a module-level function",
        ),
        ("@repr\n@handler('own', run_in='process')\ndef run(job): ...", "@handler as the outermost"),
    ],
)  # fmt: skip
def test_the_error_for_a_wrong_module_names_the_variable_and_the_module(
    module: Module, tmp_path: Path, text: str, problem: str
) -> None:
    own = module("own_handlers", text)
    with pytest.raises(WrongHandlers) as caught:
        load(own)
    assert str(caught.value).startswith("WORKER_HANDLERS: ")
    assert "own_handlers" in str(caught.value)
    assert problem.replace("FILE", str(tmp_path / "own_handlers.py")) in str(caught.value)


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize("name", ["not_there", "not.there", ".relative", "handlers.py"])
def test_the_error_for_a_missing_module_names_the_variable_and_the_module(name: str) -> None:
    with pytest.raises(WrongHandlers, match=f"^WORKER_HANDLERS: module '{name}' cannot be imported: "):
        load(name)


def test_the_decorator_returns_the_function_unchanged() -> None:
    def run(_job: Any) -> None: ...

    assert handler("own")(run) is run


@given(st.from_regex(r"[a-z][a-z0-9-]{0,62}", fullmatch=True))
def test_every_type_of_the_documented_form_is_accepted(job_type: str) -> None:
    handler(job_type)


@given(
    st.text().filter(lambda text: not text.isascii() or text != text.lower() or len(text) > 63 or not text)
)
def test_every_other_type_is_refused(job_type: str) -> None:
    with pytest.raises(WrongHandlers):
        handler(job_type)


async def test_a_job_process_imports_no_library_that_it_does_not_need() -> None:
    code = """
import sys, worker_service.execution.child_process
sys.exit(any(name in sys.modules for name in ("aiokafka", "grpc", "pydantic")))"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0


def test_a_signature_is_checked_when_all_types_of_the_module_are_known(module: Module) -> None:
    own = module(
        "late_types",
        "from dataclasses import dataclass\n"
        "@handler('own')\ndef run(payload: 'Later') -> dict: ...\n"
        "@dataclass\nclass Later:\n    name: str\n",
    )
    assert load(own)["own"].run_in == "thread"


def test_a_wrong_signature_names_the_handler_and_what_to_write(module: Module) -> None:
    own = module("wrong_signature", "@handler('own')\ndef run(payload: int): ...\n")
    with pytest.raises(WrongHandlers) as refusal:
        load(own)
    assert re.fullmatch(
        r"WORKER_HANDLERS: handler 'own' at .*wrong_signature\.py:2: the type of payload must be "
        r"a dataclass, a pydantic model, a TypedDict or a dict, is int; "
        r"write async def handle\(payload: Request, job: Job\) -> Result",
        str(refusal.value),
    )
