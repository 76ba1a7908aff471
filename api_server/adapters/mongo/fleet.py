"""The desired state of the workers: the FleetStore."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pymongo.errors import DuplicateKeyError

from api_server.adapters.mongo.client import Collection, Document
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.writes import Writes, pauses, resend
from api_server.domain.fleet import Fleet

FLEET_ID = "fleet"
"""The `_id` of the only document in the collection."""


class MongoFleetStore:
    """See api_server.ports.FleetStore."""

    def __init__(self, fleet: Collection, reads: Reads, writes: Writes) -> None:
        self._fleet = fleet
        self._reads = reads
        self._writes = writes

    async def fleet(self) -> Fleet:
        return await self._reads.run(self._read)

    async def change(self, change: Callable[[Fleet], Fleet]) -> Fleet:
        async def write() -> Fleet:
            for pause in pauses():
                stored = await resend(partial(self._reads.up_to_date, self._read))
                desired = change(stored)
                # If it was stored and is sent again, it does not match, and the next round finds nothing to
                # change.
                if desired == stored or await resend(partial(self._replace, stored, desired)):
                    return desired
                await asyncio.sleep(pause)
            raise AssertionError("pauses never end")

        return await self._writes.run(write)

    async def _read(self) -> Fleet:
        document = await self._fleet.find_one({"_id": FLEET_ID})
        return _to_fleet(document) if document is not None else Fleet()

    async def _replace(self, stored: Fleet, desired: Fleet) -> bool:
        """Whether `stored` was still the stored state, as its revision shows."""
        where = {"_id": FLEET_ID, "revision": stored.revision}
        is_first = stored.revision == Fleet().revision
        try:
            answer = await self._fleet.replace_one(where, _from_fleet(desired), upsert=is_first)
        except DuplicateKeyError:
            # Another server has stored the first state.
            return False
        return bool(answer.matched_count or answer.upserted_id)


def _to_fleet(document: Mapping[str, Any]) -> Fleet:
    return Fleet(
        document["consuming"],
        document["revision"],
        tuple(document.get("stopped_workers", ())),
        tuple(document.get("stopped_types", ())),
    )


def _from_fleet(fleet: Fleet) -> Document:
    return {
        "_id": FLEET_ID,
        "consuming": fleet.consuming,
        "revision": fleet.revision,
        "stopped_workers": list(fleet.stopped_workers),
        "stopped_types": list(fleet.stopped_types),
    }
