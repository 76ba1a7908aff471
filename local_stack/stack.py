"""The stack: starts, stops, kills and freezes its parts by name and number.

stack = Stack(StackSettings.with_free_ports(directory))
stack.up()
stack.kill("worker", 1)
stack.start("worker", 1)
stack.down()
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import httpx

from local_stack import process, services
from local_stack.endpoints import Endpoints
from local_stack.kafka import kafka
from local_stack.mongodb import mongodb
from local_stack.part import Part, StackError, check_ports_differ
from local_stack.process import ProcessId
from local_stack.settings import HOST, ROOT, StackSettings
from local_stack.state import Started, StateFile

READY_DEADLINE = 120.0
POLL = 0.1
LOG_LINES = 15

MAKERS: dict[str, Callable[[StackSettings, int], Part]] = {
    "mongodb": lambda settings, _: mongodb(settings),
    "kafka": lambda settings, _: kafka(settings),
    "api_server": services.api_server,
    "worker": services.worker,
    "gateway": lambda settings, _: services.gateway(settings),
}


@dataclass(frozen=True)
class PartStatus:
    """`state` is `running`, `frozen` or `stopped`."""

    name: str
    number: int
    pid: int
    ports: tuple[int, ...]
    state: str


class Spawn(Protocol):
    """Starts a server, see process.spawn."""

    def __call__(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path
    ) -> ProcessId: ...


class Stack:
    """`show` gets a line of text for each part that starts or stops."""

    def __init__(
        self,
        settings: StackSettings,
        show: Callable[[str], None] = lambda _: None,
        spawn: Spawn = process.spawn,
    ) -> None:
        self.settings = settings
        self.endpoints = Endpoints(f"{HOST}:{settings.jobs_port}", f"{HOST}:{settings.workers_port}")
        self._show = show
        self._spawn = spawn
        self._state = StateFile(settings.data_dir)
        self._environment: dict[tuple[str, int], dict[str, str]] = {}
        self._log_starts: dict[str, int] = {}

    def up(self) -> None:
        """Start all parts that do not run, restart those whose settings have changed, stop those that the
        settings no longer ask for, and wait until a request passes the gateway. Raises StackError.
        """
        servers = [("mongodb", 1), ("kafka", 1)]
        api_servers = [("api_server", number + 1) for number in range(self.settings.api_servers)]
        workers = [("worker", number + 1) for number in range(self.settings.workers)]
        everything = [*servers, *api_servers, *workers, ("gateway", 1)]
        parts = {each: self._part(*each) for each in everything}
        check_ports_differ(parts.values())
        started = {(each.name, each.number) for each in self.status() if each.state != "stopped"}
        changed = {each: names for each in everything if each in started and (names := self._changed(*each))}
        own = {port for each in changed for port in self._state.read()[parts[each].key].ports}
        for each in everything:
            if each not in started or each in changed:
                parts[each].check_ports(own)
        for each, names in changed.items():
            self._show(f"  {parts[each].key} restarts, because this changed: {', '.join(names)}")
        for name, number in sorted(started - set(everything) | set(changed), key=_stop_order):
            self.stop(name, number)
        self._start_all(servers)
        self._start_all(api_servers)
        self._start_all([*workers, ("gateway", 1)])
        self._wait_until(self._is_reachable, "the gateway reaches the services")

    def down(self) -> None:
        """Stop all parts of this data directory, also those that another process started.

        Parts with the same name are stopped at the same time.
        """
        for name in list(MAKERS)[::-1]:
            parts = [part for part in self.status() if part.name == name]
            for part in parts:
                process.ask_to_end(self._process(name, part.number))
            for part in parts:
                self.stop(name, part.number)

    def start(self, name: str, number: int = 1, environment: Mapping[str, str] | None = None) -> None:
        """Start one part and wait until it is ready. `environment`: see set_environment."""
        self.spawn(name, number, environment)
        self.wait_ready(name, number)

    def set_environment(self, name: str, number: int, environment: Mapping[str, str]) -> None:
        """Set additional environment variables for the next starts of a part."""
        self._environment[name, number] = dict(environment)

    def spawn(self, name: str, number: int = 1, environment: Mapping[str, str] | None = None) -> None:
        """Start one part unless it runs, and do not wait until it is ready. Raises StackError."""
        if environment is not None:
            self.set_environment(name, number, environment)
        part = self._part(name, number)
        with self._state.starting():
            if self.is_running(name, number):
                return
            part.check_ports()
            part.prepare()
            log = self.log_file(name, number)
            self._log_starts[part.key] = log.stat().st_size if log.exists() else 0
            started = self._spawn(part.command, part.environment, ROOT, log)
            self._state.put(part.key, Started(started, tuple(part.ports.values()), part.fingerprints()))

    def wait_ready(self, name: str, number: int = 1) -> None:
        """Wait until a part is ready.

        Raises StackError, with the end of its log, if it ends or takes too long.
        """
        part = self._part(name, number)
        begin = time.monotonic()

        def ready_or_dead() -> bool:
            if part.is_ready():
                return True
            if self._process(name, number).find() is None:
                raise StackError(f"{part.key} ended while starting:\n{self._log_end(name, number)}")
            return False

        self._wait_until(ready_or_dead, f"{part.key} is ready", lambda: self._log_end(name, number))
        self._show(
            f"  {part.key:<14} ready after {time.monotonic() - begin:4.1f} s, port {self.port(name, number)}"
        )

    def stop(self, name: str, number: int = 1) -> None:
        """Send SIGTERM to the part and wait until it has ended."""
        process.stop(self._process(name, number))
        self._state.remove(f"{name}-{number}")
        self._show(f"  {name}-{number} stopped")

    def kill(self, name: str, number: int = 1) -> None:
        """Send SIGKILL to the part and its children."""
        process.kill(self._process(name, number))
        self._state.remove(f"{name}-{number}")

    def freeze(self, name: str, number: int = 1) -> None:
        """Send SIGSTOP to the part and its children."""
        process.freeze(self._process(name, number))

    def thaw(self, name: str, number: int = 1) -> None:
        """Send SIGCONT to a frozen part."""
        process.thaw(self._process(name, number))

    def status(self) -> list[PartStatus]:
        """All parts that were started and were not stopped by `stop` or `kill`."""
        lines = []
        for key, part in sorted(self._state.read().items()):
            name, number = key.rsplit("-", 1)
            lines.append(PartStatus(name, int(number), part.process.pid, part.ports, part.process.state))
        return lines

    def is_running(self, name: str, number: int = 1) -> bool:
        part = self._state.read().get(f"{name}-{number}")
        return part is not None and part.process.find() is not None

    def pid(self, name: str, number: int = 1) -> int:
        return self._process(name, number).pid

    def port(self, name: str, number: int = 1) -> int:
        """The first port of a part, which need not run."""
        return next(iter(self._part(name, number).ports.values()))

    def address(self, name: str, number: int = 1) -> str:
        return f"{HOST}:{self.port(name, number)}"

    def log_file(self, name: str, number: int = 1) -> Path:
        return self.settings.data_dir / "logs" / f"{name}-{number}.log"

    def _part(self, name: str, number: int) -> Part:
        part = MAKERS[name](self.settings, number)
        added = self._environment.get((name, number), {})
        return replace(part, environment={**part.environment, **added})

    def _process(self, name: str, number: int) -> ProcessId:
        try:
            return self._state.read()[f"{name}-{number}"].process
        except KeyError:
            raise StackError(f"{name}-{number} is not running") from None

    def _changed(self, name: str, number: int) -> list[str]:
        """The names of the settings that a running part was started with and that are others now."""
        part = self._part(name, number)
        before, now = self._state.read()[part.key].fingerprints, part.fingerprints()
        return sorted(each for each in before.keys() | now.keys() if before.get(each) != now.get(each))

    def _start_all(self, parts: Iterable[tuple[str, int]]) -> None:
        parts = list(parts)
        for name, number in parts:
            self.spawn(name, number)
        for name, number in parts:
            self.wait_ready(name, number)

    def _is_reachable(self) -> bool:
        try:
            with httpx.Client(timeout=2, trust_env=False) as http:
                jobs = http.get(f"{self.endpoints.jobs_url}/jobs", params={"pageSize": 1})
                workers = http.get(f"{self.endpoints.workers_url}/state")
        except httpx.HTTPError:
            return False
        # A service that asks for a token is reachable too.
        reached = [
            each.is_success or each.status_code == httpx.codes.UNAUTHORIZED for each in (jobs, workers)
        ]
        return reached[0] and (reached[1] or not self.settings.workers)

    def _wait_until(
        self, holds: Callable[[], bool], what: str, explain: Callable[[], str] = lambda: ""
    ) -> None:
        deadline = time.monotonic() + READY_DEADLINE
        while not holds():
            if time.monotonic() > deadline:
                raise StackError(f"this did not happen within {READY_DEADLINE:g} s: {what}\n{explain()}")
            time.sleep(POLL)

    def _log_end(self, name: str, number: int) -> str:
        log = self.log_file(name, number)
        begin = self._log_starts.get(f"{name}-{number}", 0)
        lines = log.read_bytes()[begin:].decode(errors="replace").splitlines()[-LOG_LINES:]
        return "\n".join([*lines, f"(end of {log})"])


def _stop_order(part: tuple[str, int]) -> tuple[int, int]:
    """The gateway first, the servers that others need last."""
    name, number = part
    return -list(MAKERS).index(name), number
