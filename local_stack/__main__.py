"""Runs the system on this machine.

    python -m local_stack run      start, run the demo, keep running until Ctrl-C, stop
    python -m local_stack demo     start, run the demo, stop; exit status 0 if the demo passed
    python -m local_stack up       start in the background
    python -m local_stack down     stop
    python -m local_stack status   show each process with its ports
    python -m local_stack logs     show the logs until Ctrl-C; `logs worker`: only of the workers

Ports and folders are settings; see docs/reference/settings.md.
"""

import ctypes
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from pydantic import ValidationError

from local_stack import demo
from local_stack.logs import logs_of, show_logs
from local_stack.part import StackError
from local_stack.settings import StackSettings
from local_stack.stack import Stack


def main(arguments: list[str]) -> int:
    commands = {"run": run, "demo": run_demo, "up": up, "down": down, "status": status}
    command, *rest = arguments or [""]
    if command == "logs" and len(rest) <= 1:
        commands["logs"] = partial(logs, part="".join(rest))
    elif rest or command not in commands:
        print(__doc__)
        return 2
    try:
        stack = Stack(StackSettings(), show=lambda line: print(line, flush=True))
        return commands[command](stack)
    except ValidationError as error:
        for item in error.errors():
            rule = item["msg"].removeprefix("Value error, ")
            name = f"STACK_{item['loc'][0]}".upper() if item["loc"] else ""
            print(f"{name}: {item['input']!r} is not allowed: {rule}" if name else rule, file=sys.stderr)
        return 2
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except Interrupted:
        print("\nStopped", flush=True)
        return 130


def run(stack: Stack) -> int:
    passed = False
    with started(stack):
        stack.up()
        passed = demo.run(stack.endpoints)
        show_urls(stack)
        print("Ctrl-C stops everything.", flush=True)
        wait_while_all_run(stack)
        passed = False
    return 0 if passed else 1


def wait_while_all_run(stack: Stack) -> None:
    """Return when a part has ended by itself, or when another process stopped it."""
    parts = {(part.name, part.number) for part in stack.status()}
    while True:
        running = {(part.name, part.number) for part in stack.status() if part.state != "stopped"}
        for name, number in sorted(parts - running):
            print(f"\n{name}-{number} has ended; stopping the other parts", flush=True)
            return
        asked_to_stop.wait(1)


def run_demo(stack: Stack) -> int:
    passed = False
    with started(stack):
        stack.up()
        passed = demo.run(stack.endpoints)
    return 0 if passed else 1


def up(stack: Stack) -> int:
    check_platform()
    begin = time.monotonic()
    before = {(part.name, part.number) for part in stack.status() if part.state != "stopped"}
    with stopping_on_signals():
        try:
            stack.up()
        except BaseException:
            # Half a system is useless. Parts that ran before are not stopped, because another command started
            # them.
            for part in stack.status():
                if (part.name, part.number) not in before:
                    stack.stop(part.name, part.number)
            raise
    print(f"The system is ready after {time.monotonic() - begin:.1f} s.")
    show_urls(stack)
    return 0


def down(stack: Stack) -> int:
    if not stack.status():
        print("No part is running.")
    stack.down()
    return 0


def status(stack: Stack) -> int:
    parts = stack.status()
    if not parts:
        print("No part is running. `make up` starts the system.")
        return 0
    print(f"{'PART':<14} {'STATE':<8} {'PID':>7}  PORTS")
    for part in parts:
        ports = ", ".join(str(port) for port in part.ports)
        print(f"{part.name + '-' + str(part.number):<14} {part.state:<8} {part.pid:>7}  {ports}")
    show_urls(stack)
    return 0 if all(part.state == "running" for part in parts) else 1


def logs(stack: Stack, part: str) -> int:
    """At a terminal it goes on until Ctrl-C."""
    found = logs_of(stack.log_file("any").parent, part)
    with stopping_on_signals(), suppress(Interrupted):
        show_logs(found, lambda line: print(line, flush=True), goes_on=sys.stdout.isatty)
    return 0


asked_to_stop = threading.Event()


class Interrupted(Exception):
    """Ctrl-C or SIGTERM was received."""


@contextmanager
def started(stack: Stack) -> Iterator[None]:
    """Stop the system at the end of the block, also after an error."""
    check_platform()
    if any(part.state != "stopped" for part in stack.status()):
        raise StackError(
            "the system is already running: stop it with `make down`, "
            "or with Ctrl-C in the terminal of `make run`"
        )
    print("Starting MongoDB, Apache Kafka, Envoy and the services", flush=True)
    with stopping_on_signals():
        try:
            yield
        except Interrupted:
            print("\nStopping", flush=True)
        finally:
            asked_to_stop.set()
            stack.down()


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """The first Ctrl-C or SIGTERM raises Interrupted.

    Later ones do nothing, so that the clean-up can finish.
    """

    def interrupt(_number: int, _frame: object) -> None:
        if not asked_to_stop.is_set():
            asked_to_stop.set()
            raise Interrupted

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    yield


def show_urls(stack: Stack) -> None:
    print(f"\n  dashboard {stack.endpoints.jobs_url}/ui/")
    print(f"  jobs      {stack.endpoints.jobs_url}/jobs    (REST, and gRPC on the same port)")
    print(f"  API       {stack.endpoints.jobs_url}/api     (OpenAPI at /openapi.json)")
    print(f"  workers   {stack.endpoints.workers_url}/state   (POST /start, POST /stop)")
    print(f"  logs      {stack.log_file('api_server').parent}\n", flush=True)


def check_platform() -> None:
    """Raise StackError if the servers' packages do not run on this machine."""
    instead = "use `docker compose up -d --build --wait` instead"
    system, machine, libc = platform.system(), platform.machine(), platform.libc_ver()[0]
    if (system, machine, libc) != ("Linux", "x86_64", "glibc"):
        with_libc = f" with {libc}" if libc else ""
        raise StackError(
            "the servers' packages are for Linux on x86-64 with glibc, "
            f"this is {system} on {machine}{with_libc}; {instead}"
        )
    for library, package in (("libcrypto.so.3", "libssl3"), ("libcurl.so.4", "libcurl4")):
        try:
            ctypes.CDLL(library)
        except OSError:
            raise StackError(
                f"MongoDB's package needs {library}, which is not installed: install {package}, or {instead}"
            ) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
