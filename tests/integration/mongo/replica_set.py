"""A replica set of three mongods on loopback. Its elections take one or two seconds."""

from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from local_stack import process
from local_stack.mongodb import REPLICA_SET, _mongod
from local_stack.process import ProcessId
from local_stack.settings import HOST, StackSettings
from tests.waiting import wait_for

ELECTION_MS, HEARTBEAT_MS = 1000, 200
MEMBERS = (0, 1, 2)
ALREADY_INITIALIZED, NODE_NOT_FOUND = 23, 74
"""Error codes on a busy machine: the first try was answered too late, or a member does not listen yet."""


class ReplicaSet:
    """Its members have numbers."""

    def __init__(self, folder: Path) -> None:
        settings = StackSettings.with_free_ports(folder)
        self._ports = (settings.mongodb_port, settings.kafka_port, settings.kafka_controller_port)
        self._folder = folder
        self._running: dict[int, ProcessId] = {}
        self.uri = f"mongodb://{','.join(map(self._address, MEMBERS))}/?replicaSet={REPLICA_SET}"

    def up(self) -> None:
        """Returns when there is a primary and the other members replicate it."""
        for number in MEMBERS:
            self.start(number)
        members = [{"_id": number, "host": self._address(number)} for number in MEMBERS]
        settings = {"electionTimeoutMillis": ELECTION_MS, "heartbeatIntervalMillis": HEARTBEAT_MS}
        config = {"_id": REPLICA_SET, "members": members, "settings": settings}
        wait_for(lambda: self._initiate(config), "the replica set is initiated")
        self.wait_well()

    def down(self) -> None:
        for number in MEMBERS:
            self.kill(number)

    def start(self, number: int) -> None:
        """Start a member that was stopped."""
        data = self._folder / str(number)
        data.mkdir(parents=True, exist_ok=True)
        command = [
            str(_mongod()),
            *("--dbpath", str(data)),
            *("--port", str(self._ports[number])),
            *("--bind_ip", HOST),
            *("--replSet", REPLICA_SET),
            *("--wiredTigerCacheSizeGB", "0.25"),
            *("--oplogSize", "64"),
            *("--setParameter", "enableTestCommands=1"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            "--nounixsocket",
        ]
        self._running[number] = process.spawn(command, {}, self._folder, self._folder / f"{number}.log")

    def kill(self, number: int) -> None:
        if number in self._running:
            process.kill(self._running.pop(number))

    def freeze(self, number: int) -> None:
        process.freeze(self._running[number])

    def recover(self) -> None:
        """Restore every member that was killed, frozen or made to fail."""
        for number in MEMBERS:
            if number in self._running:
                process.thaw(self._running[number])
            else:
                self.start(number)
        self.wait_well()

    def primary(self, *, but: int | None = None) -> int:
        """The primary's number. Waits until there is a primary other than `but`."""
        found: list[int] = []

        def is_found() -> bool:
            found[:] = [
                each for each in MEMBERS if each != but and self._hello(each).get("isWritablePrimary")
            ]
            return len(found) == 1

        wait_for(is_found, "there is one primary")
        return found[0]

    def secondaries(self) -> list[int]:
        primary = self.primary()
        return [number for number in MEMBERS if number != primary]

    def command(self, number: int, *words: Any, **more: Any) -> dict[str, Any]:
        """Run a command on the admin database of one member."""
        with self._client(number) as client:
            return client.admin.command(*words, **more)

    def fail_point(self, number: int, name: str, mode: str | dict[str, int], **data: Any) -> None:
        """See `configureFailPoint` of MongoDB; `mode` is "alwaysOn", "off" or {"times": n}."""
        self.command(number, "configureFailPoint", name, mode=mode, data=data)

    def delay(self, seconds: int) -> None:
        """Let the secondaries lag. They cannot be elected then."""
        primary = self.primary()
        config = self.command(primary, "replSetGetConfig")["config"]
        config["version"] += 1
        for member in config["members"]:
            follows = seconds > 0 and member["_id"] != primary
            member |= {"priority": 0 if follows else 1, "secondaryDelaySecs": seconds if follows else 0}
        self.command(primary, "replSetReconfig", config)

    def step_down(self, seconds: int = 3) -> None:
        """Let the primary step down, so that another member takes over at once."""

        def has_stepped_down() -> bool:
            try:
                self.command(self.primary(), "replSetStepDown", seconds, secondaryCatchUpPeriodSecs=1)
            except PyMongoError:
                # On a busy machine the other members may lag for a moment.
                return False
            return True

        wait_for(has_stepped_down, "the primary has stepped down")

    def wait_well(self) -> None:
        def is_well() -> bool:
            states = [self._hello(number) for number in MEMBERS]
            return sum(bool(state.get("isWritablePrimary")) for state in states) == 1 and all(
                state.get("isWritablePrimary") or state.get("secondary") for state in states
            )

        wait_for(is_well, "all members are well")

    def _address(self, number: int) -> str:
        return f"{HOST}:{self._ports[number]}"

    def _client(self, number: int) -> MongoClient[dict[str, Any]]:
        return MongoClient(HOST, self._ports[number], directConnection=True, timeoutMS=2000)

    def _hello(self, number: int) -> dict[str, Any]:
        if number not in self._running or self._running[number].state != "running":
            return {}
        try:
            return self.command(number, "hello")
        except PyMongoError:
            return {}

    def _initiate(self, config: dict[str, Any]) -> bool:
        try:
            self.command(MEMBERS[0], "replSetInitiate", config)
        except OperationFailure as error:
            if error.code not in (ALREADY_INITIALIZED, NODE_NOT_FOUND):
                raise
            return error.code == ALREADY_INITIALIZED
        except PyMongoError:
            return False
        return True
