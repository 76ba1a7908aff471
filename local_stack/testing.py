"""The whole system for a test: on free ports, in a temporary folder, and gone after it.

    with local_stack(handlers="word_handlers") as endpoints:
        ...

As a fixture, in conftest.py: `jobs = local_stack_fixture(handlers="word_handlers")`. It needs pytest.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from api_server.settings import ApiServerSettings
from local_stack import process
from local_stack.endpoints import Endpoints
from local_stack.services import PYTHON_PATH
from local_stack.settings import MAX_REPLICAS, StackSettings
from local_stack.stack import Spawn, Stack
from service_runtime.settings import ServiceSettings, split
from worker_service.settings import WorkerSettings

SERVICES: Mapping[str, type[ServiceSettings]] = {"api_server": ApiServerSettings, "worker": WorkerSettings}


@contextmanager
def local_stack(handlers: str = "", **settings: str) -> Iterator[Endpoints]:
    """Start everything, and stop it at the end. Raises StackError, with the end of a log, if it cannot start.

    `handlers`: modules with handlers of your own, separated by commas. Workers find them where this process
    does. `settings`: variables of the API server and the worker, such as `JOB_LEASE="3"`.
    """
    with (
        tempfile.TemporaryDirectory(prefix="local-stack-", ignore_cleanup_errors=True) as folder,
        running_stack(Path(folder), handlers, settings) as stack,
    ):
        yield stack.endpoints


def local_stack_fixture(handlers: str = "", **settings: str) -> Any:
    """A fixture of pytest that is the Endpoints of a `local_stack`, which all tests of the session share."""
    import pytest  # noqa: PLC0415 - tests of other kinds need no pytest

    @pytest.fixture(scope="session")
    def endpoints() -> Iterator[Endpoints]:
        with local_stack(handlers, **settings) as found:
            yield found

    return endpoints


@contextmanager
def running_stack(
    folder: Path, handlers: str, settings: Mapping[str, str], spawn: Spawn = process.spawn
) -> Iterator[Stack]:
    """The same with its data in `folder`. A test can stop, kill and start its parts."""
    environments = environments_of(handlers, settings)
    stack = Stack(StackSettings.with_free_ports(folder), spawn=spawn)
    for part, environment in environments.items():
        for number in range(1, MAX_REPLICAS + 1):
            stack.set_environment(part, number, environment)
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def environments_of(handlers: str, settings: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The environment of each service. Raises ValueError for an unknown setting or module."""
    names = {part: {name.upper() for name in each.model_fields} for part, each in SERVICES.items()}
    unknown = sorted(set(settings).difference(*names.values()))
    if unknown:
        raise ValueError(f"{unknown[0]} is no setting of the API server or the worker")
    found = {part: {name: settings[name] for name in settings if name in names[part]} for part in names}
    found["worker"] |= _to_import(handlers)
    return found


def _to_import(handlers: str) -> dict[str, str]:
    """What a worker needs to import these modules."""
    if not handlers:
        return {}
    folders = dict.fromkeys(folder for module in split(handlers) for folder in _folders_of(module))
    return {"WORKER_HANDLERS": handlers, "PYTHONPATH": os.pathsep.join([PYTHON_PATH["PYTHONPATH"], *folders])}


def _folders_of(module: str) -> list[str]:
    """The folders from which the module, or the package that it is in, is imported."""
    found = find_spec(module.partition(".")[0])
    if found is None:
        raise ValueError(f"handlers: there is no module {module}")
    places = found.submodule_search_locations or [found.origin or ""]
    return [str(Path(place).resolve().parent) for place in places]
