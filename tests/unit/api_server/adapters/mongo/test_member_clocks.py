"""Clocks that differ from the primary's are logged, and not too often."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from pymongo.server_type import SERVER_TYPE
from structlog.testing import capture_logs

from api_server.adapters.mongo.clock import MongoClock
from api_server.adapters.mongo.member_clocks import LOG_AGAIN_SECONDS, OWN, WARN_SECONDS, MemberClocks


class Members:
    """A primary with the correct time, and secondaries whose clocks are ahead by the given seconds.

    They answer in turn.
    """

    def __init__(self, *ahead: float) -> None:
        self.ahead = list(ahead)
        self.passed = 0.0
        self.asked = 0

    @property
    def admin(self) -> "Members":
        return self

    @property
    def topology_description(self) -> Any:
        servers = dict(enumerate(SimpleNamespace(server_type=SERVER_TYPE.RSSecondary) for _ in self.ahead))
        return SimpleNamespace(server_descriptions=lambda: servers)

    async def command(self, *_: Any, **__: Any) -> dict[str, Any]:
        self.asked += 1
        number = self.asked % len(self.ahead)
        return {"me": f"m{number}", "localTime": await self.time() + timedelta(seconds=self.ahead[number])}

    async def time(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return datetime.now(UTC).timestamp() + self.passed


async def clocks(members: Members) -> MemberClocks:
    clock = MongoClock(members.time, members.monotonic)
    await clock.refresh()
    return MemberClocks(members, clock, members.monotonic)


async def logged(checked: MemberClocks) -> dict[str, int]:
    """The clocks that one check logged, and by how many seconds they are ahead."""
    await checked._clock.refresh()
    with capture_logs() as logs:
        await checked.check()
    return {entry["whose"]: round(entry.get("ahead_of_primary_seconds", 0)) for entry in logs}


async def test_a_clock_ahead_and_a_clock_behind_are_logged_and_small_differences_are_not() -> None:
    assert await logged(await clocks(Members(16.0, -60.0, WARN_SECONDS - 0.1))) == {"m0": 16, "m1": -60}


async def test_a_difference_is_logged_once_an_hour_and_when_it_ends() -> None:
    members = Members(16.0)
    checked = await clocks(members)
    assert [await logged(checked) for _ in range(3)] == [{"m0": 16}, {}, {}]
    members.passed = LOG_AGAIN_SECONDS
    # Its own clock stood still in that time.
    assert await logged(checked) == {"m0": 16, OWN: -3600}
    members.ahead = [0.0]
    assert (await logged(checked))["m0"] == 0


async def test_without_secondaries_no_question_is_sent() -> None:
    members = Members()
    assert await logged(await clocks(members)) == {}
    assert members.asked == 0
