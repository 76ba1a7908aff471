"""Loads the handlers: the built-in ones and those in the modules that WORKER_HANDLERS names."""

import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from types import ModuleType

from worker_service.handler_api.handler import HandlerSpec, WrongHandlers, handlers_in
from worker_service.handlers import built_in_handlers

__all__ = ["HandlerSpec", "WrongHandlers", "load_handlers"]


def load_handlers(
    module_names: Sequence[str], file_root: Path, more: Sequence[HandlerSpec] = ()
) -> Mapping[str, HandlerSpec]:
    """All handlers by job type. A user's handler replaces a built-in handler of the same type.

    `module_names` are Python modules; the current directory is searched too. `file_root` is the folder that
    file jobs may read. `more`: built-in handlers that settings turn on. Raises WrongHandlers.
    """
    own: dict[str, HandlerSpec] = {}
    for name in dict.fromkeys(module_names):
        for spec in _load(name):
            if spec.type in own:
                where = f"{own[spec.type].location} and {spec.location}"
                raise WrongHandlers(f"WORKER_HANDLERS: job type {spec.type!r} is declared twice: {where}")
            check_handler(spec)
            own[spec.type] = spec
    return {spec.type: spec for spec in (*built_in_handlers(file_root), *more)} | own


def _load(name: str) -> tuple[HandlerSpec, ...]:
    specs = handlers_in(_import(name))
    if not specs:
        raise WrongHandlers(
            f'WORKER_HANDLERS: module {name!r} has no handler: name the module that contains @handler("...")'
        )
    return specs


def _import(name: str) -> ModuleType:
    here = os.getcwd()  # noqa: PTH109 - sys.path holds strings
    if here not in sys.path:
        sys.path.append(here)
    try:
        return importlib.import_module(name)
    except WrongHandlers as error:
        raise WrongHandlers(f"WORKER_HANDLERS: module {name!r}: {error}") from error
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = "" if "importlib" in frame.filename else f" ({frame.filename}:{frame.lineno})"
        raise WrongHandlers(
            f"WORKER_HANDLERS: module {name!r} cannot be imported: {type(error).__name__}: {error}{where}"
        ) from error


def check_handler(spec: HandlerSpec) -> None:
    """What can be checked only when its module is complete: types may be defined after the function that
    names them. Raises WrongHandlers.
    """
    try:
        _ = spec.call
    except WrongHandlers as error:
        raise WrongHandlers(f"WORKER_HANDLERS: {error}") from error
    if spec.run_in == "process":
        _check_found_by_name(spec)


def _check_found_by_name(spec: HandlerSpec) -> None:
    """A job process gets only the function's name. Raises WrongHandlers if the name does not lead to it."""
    function = spec.function
    try:
        found = attrgetter(function.__qualname__)(sys.modules[function.__module__])
    except AttributeError:
        found = None
    if found is not function:
        raise WrongHandlers(
            f"WORKER_HANDLERS: handler {spec.type!r} at {spec.location}: to run in a process it must be a "
            "module-level function with a name of its own and with @handler as the outermost decorator"
        )
