"""When a read needs a write before it, and when it is repeated."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect
from pymongo.server_type import SERVER_TYPE

from api_server.adapters.mongo.reads import NO_ELECTIONS, Reads, election_of
from api_server.adapters.mongo.writes import Writes
from api_server.domain.errors import StoreUnavailable

FIRST, SECOND = ObjectId("7fffffff0000000000000001"), ObjectId("7fffffff0000000000000002")


def topology(*servers: tuple[int, ObjectId | None]) -> Any:
    described = {
        number: SimpleNamespace(server_type=kind, election_id=election, address=("host", number))
        for number, (kind, election) in enumerate(servers)
    }
    return SimpleNamespace(server_descriptions=lambda: described)


def led_by(election: ObjectId) -> Any:
    return topology((SERVER_TYPE.RSSecondary, None), (SERVER_TYPE.RSPrimary, election))


class Database:
    """A client and its only collection. `when_written` is called at each write."""

    def __init__(self) -> None:
        self.topology_description = led_by(FIRST)
        self.writes = 0
        self.when_written: Callable[[], None] = lambda: None

    async def update_one(self, *_: Any, **__: Any) -> None:
        await asyncio.sleep(0)
        self.writes += 1
        self.when_written()

    def reads(self) -> Reads:
        return Reads(self, self, Writes())


async def answer() -> str:
    return "answer"


async def test_the_first_read_waits_for_a_write_and_later_reads_do_not() -> None:
    database = Database()
    reads = database.reads()
    assert await asyncio.gather(*(reads.run(answer) for _ in range(5))) == ["answer"] * 5
    database.topology_description = led_by(FIRST)
    await reads.run(answer)
    assert database.writes == 1


async def test_a_read_is_repeated_if_another_primary_was_elected_meanwhile() -> None:
    database = Database()
    reads = database.reads()
    given: list[int] = []

    async def read() -> int:
        given.append(database.writes)
        if len(given) == 1:
            database.topology_description = led_by(SECOND)
        return len(given)

    assert await reads.run(read) == 2
    assert given == [1, 2]


async def test_a_write_confirms_no_primary_if_another_one_was_elected_meanwhile() -> None:
    database = Database()
    reads = database.reads()

    def elect() -> None:
        database.topology_description = led_by(SECOND)

    database.when_written = elect
    await reads.run(answer)
    assert database.writes == 2


async def test_without_a_known_primary_no_read_is_confirmed() -> None:
    database = Database()
    database.topology_description = topology((SERVER_TYPE.RSSecondary, None))
    reads = database.reads()

    def elect() -> None:
        database.topology_description = led_by(FIRST)

    database.when_written = elect
    await reads.run(answer)
    assert database.writes == 2


async def test_readers_get_the_error_of_the_write_and_the_next_reader_tries_again() -> None:
    database = Database()
    reads = database.reads()

    def fail() -> None:
        database.when_written = lambda: None
        raise StoreUnavailable

    database.when_written = fail
    failed = await asyncio.gather(*(reads.run(answer) for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in failed] == [StoreUnavailable] * 3
    assert await reads.run(answer) == "answer"


async def test_a_read_that_fails_is_not_repeated() -> None:
    async def fail() -> None:
        raise AutoReconnect("x")

    with pytest.raises(StoreUnavailable):
        await Database().reads().run(fail)


@pytest.mark.parametrize(
    ("description", "election"),
    [
        (led_by(FIRST), FIRST),
        (topology((SERVER_TYPE.RSPrimary, None)), ("host", 0)),
        (topology((SERVER_TYPE.Mongos, None), (SERVER_TYPE.Mongos, None)), NO_ELECTIONS),
        (topology((SERVER_TYPE.Unknown, None), (SERVER_TYPE.RSSecondary, None)), None),
    ],
)
def test_an_election_is_identified_by_its_primary(description: Any, election: object) -> None:
    assert election_of(description) == election
