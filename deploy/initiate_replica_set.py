"""Configures one mongod as a replica set and waits until it accepts majority writes. Safe to repeat.

python deploy/initiate_replica_set.py HOST:PORT NAME
"""

import sys
import time
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure

ALREADY_INITIATED = 23
DEADLINE = 60.0


def main(address: str, name: str) -> None:
    with MongoClient[dict[str, Any]](
        address, directConnection=True, serverSelectionTimeoutMS=30_000
    ) as client:
        try:
            client.admin.command("replSetInitiate", {"_id": name, "members": [{"_id": 0, "host": address}]})
        except OperationFailure as error:
            if error.code != ALREADY_INITIATED:
                raise
        deadline = time.monotonic() + DEADLINE
        while not is_primary(client):
            if time.monotonic() > deadline:
                sys.exit(f"{address} did not become primary of {name} within {DEADLINE:g} s")
            time.sleep(0.1)


def is_primary(client: MongoClient[dict[str, Any]]) -> bool:
    try:
        return bool(client.admin.command("hello")["isWritablePrimary"])
    except AutoReconnect:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
