"""Handlers for tests, in a module that job processes can import."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import structlog

from worker_service import InputError, Job, PermanentError, RetryAfter, handler, progress


class NotPicklable(Exception):
    """An error that cannot travel between processes."""

    def __init__(self, text: str, _more: object) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


class Careless(RetryAfter):
    """A RetryAfter that does not call the constructor of its base class."""

    def __init__(self) -> None:
        pass


class NoText(Exception):
    """An error whose `__str__` raises."""

    def __str__(self) -> str:
        raise KeyError("text")


class ApiError(Exception):
    """An error that looks up its attributes in a dict that does not have them."""

    def __init__(self, text: str, data: dict[str, Any]) -> None:
        super().__init__(text)
        self.data = data

    def __getattr__(self, name: str) -> Any:
        return self.data[name]


class Recursing(Exception):
    """An error whose attribute lookup never ends."""

    def __getattr__(self, name: str) -> Any:
        return self.data[name]


def _raise(*_arguments: object, **_keywords: object) -> NoReturn:
    raise KeyError("hostile")


HOSTILE = ("__len__", "__getitem__", "__format__", "__str__", "__eq__", "encode", "items")
HostileText: Any = type("HostileText", (str,), {**dict.fromkeys(HOSTILE, _raise), "__hash__": str.__hash__})
HostileDict: Any = type("HostileDict", (dict,), dict.fromkeys(HOSTILE, _raise))
HostileInt: Any = type("HostileInt", (int,), dict.fromkeys((*HOSTILE, "__abs__"), _raise))
Liar: Any = type(
    "Liar",
    (Exception,),
    {
        **dict.fromkeys(("__class__", "__cause__", "__notes__"), property(_raise)),
        "__str__": lambda _self: HostileText("lies"),
    },
)
"""An error that hides its class, cause and notes."""


class Unbounded(BaseException):
    """An error with a text of 20 MB."""

    def __str__(self) -> str:
        return "x" * 20_000_000


class NoStr(Exception):
    """An error whose `__str__` returns a number."""

    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # noqa: PLE0307


class HostileKind(type):
    """A metaclass that refuses to tell the name of its classes."""

    def __getattribute__(cls, name: str) -> Any:
        raise KeyError(name)


class Nameless(Exception, metaclass=HostileKind):
    """An error whose class does not tell its name."""


class Endless(RetryAfter):
    """A RetryAfter whose delay compares wrongly and is infinite."""

    def __init__(self) -> None:
        self.delay = _Endless(1)


class _Endless(float):
    def __lt__(self, _other: object) -> bool:
        return True

    def __le__(self, _other: object) -> bool:
        return False

    def __float__(self) -> float:
        return float("inf")


def _with(error: BaseException, *notes: Any, cause: BaseException | None = None) -> BaseException:
    error.__notes__ = list(notes)
    error.__cause__ = cause
    return error


def _group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("one of many", [ExceptionGroup("of some", [ValueError("beside it")]), *errors])


ERRORS: dict[str, Callable[[], BaseException]] = {
    "input": lambda: InputError("size", "must be positive, is -1"),
    "value": lambda: ValueError("no such thing"),
    "permanent": lambda: PermanentError("no such customer"),
    "permanent, no text": PermanentError,
    "later": lambda: RetryAfter(90, "the service is busy"),
    "later, no text": lambda: RetryAfter(90),
    "later, no constructor": Careless,
    "later, without end": Endless,
    "no message": ValueError,
    "long": lambda: ValueError("x" * 5000),
    "surrogate": lambda: ValueError("bad \udcff"),
    "not picklable": lambda: NotPicklable("has a lock", object()),
    "no text": NoText,
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "generator": GeneratorExit,
    "cancelled": asyncio.CancelledError,
    "attributes in data": lambda: ApiError("no such customer", {}),
    "attributes in itself": Recursing,
    "odd syntax error": lambda: SyntaxError("bad", ("f", 1, 1, b"text")),  # type: ignore[arg-type]
    "liar": Liar,
    "unbounded": Unbounded,
    "no str": NoStr,
    "nameless": Nameless,
    "odd notes": lambda: _with(ValueError("odd"), HostileText("n"), 5, _raise, cause=Liar()),
    "group": lambda: _group(KeyError("key")),
    "group, permanent": lambda: _group(RetryAfter(5), PermanentError("no such customer")),
    "group, input": lambda: _group(RetryAfter(5), InputError("size", "must be positive, is -1")),
    "group, later": lambda: _group(RetryAfter(5, "the other"), RetryAfter(90, "the service is busy")),
}


def raise_by_name(name: str) -> NoReturn:
    if name == "recursion":
        raise_by_name(name)
    error = ERRORS[name]()
    raise error


def act(job: Job) -> Any:  # noqa: C901, PLR0912 - one case for each field of the payload
    """Do what the payload says."""
    match job.payload:
        case {"raise": name}:
            raise_by_name(name)
        case {"return": value}:
            return value
        case {"return_by_name": name}:
            return BAD_RESULTS[name]
        case {"die": number}:
            os.kill(os.getpid(), number)
            threading.Event().wait()
        case {"os_exit": status}:
            os._exit(status)
        case {"hang": path}:
            Path(path).write_text(str(os.getpid()))
            # Only a signal can stop this, not an exception.
            while True:
                time.sleep(3600)
        case {"wait_for": path}:
            until_exists(path)
            time.sleep(job.payload.get("sleep", 0))
        case {"sigint": _}:
            os.kill(os.getpid(), signal.SIGINT)
        case {"log": event}:
            structlog.get_logger().info(event)
        case {"code": code}:
            names: dict[str, Any] = {}
            exec(code, names)  # noqa: S102 - the code is the test's own
            return names["run"](job)
        case {"progress": updates}:
            for percent, message in updates:
                progress(percent, message)
            until_exists(job.payload.get("then_wait_for"))
    return {
        "pid": os.getpid(),
        "thread": threading.current_thread().name,
        "id": job.id,
        "attempt": job.attempt,
    }


def until_exists(path: str | None) -> None:
    while path and not Path(path).exists():
        time.sleep(0.01)


def circle() -> dict[str, Any]:
    inner: dict[str, Any] = {}
    inner["inner"] = inner
    return inner


BAD_RESULTS: dict[str, Any] = {
    "none": None,
    "text": "text",
    "list": [{}],
    "nan": {"rows": [1, {"x": float("nan")}]},
    "infinite": {"x": float("-inf")},
    "key": {"rows": {1: 2}},
    "set": {"x": {1}},
    "bytes": {"x": b"y"},
    "surrogate": {"x": "\ud800"},
    "circle": circle(),
    "large": {"x": "y" * 2**20},
    "integer": {"x": 2**53 + 1},
    "hostile dict": HostileDict(x=1),
    "hostile values": {"x": HostileInt(5)},
    "liar": Liar(),
}


@handler("act-thread")
def act_in_thread(job: Job) -> Any:
    return act(job)


@handler("act-process", run_in="process")
def act_in_process(job: Job) -> Any:
    return act(job)


@handler("act-loop", run_in="loop")
def act_in_loop(job: Job) -> Any:
    return act(job)


@handler("act-async")
async def act_async(job: Job) -> Any:
    await asyncio.sleep(0)
    match job.payload:
        case {"cancel_self": _}:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        case {"forever": path}:
            await wait_forever(path, job.payload.get("then"))
        case {"ignore_until": path}:
            while not Path(path).exists():  # noqa: ASYNC240 - the test has no event in this process
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
        case {"swallow": path}:
            try:
                await wait_forever(path, None)
            except asyncio.CancelledError:
                return {"cleaned": "up"}
    return act(job)


async def wait_forever(path: str, then: str | None) -> None:
    Path(path).touch()  # noqa: ASYNC240 - a small local file
    try:
        await asyncio.Event().wait()
    finally:
        Path(path).unlink()  # noqa: ASYNC240 - a small local file
        if then is not None:
            raise_by_name(then)
