"""How long a write waits for a majority."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_server.adapters.mongo.primary import LONGEST_LAG, Primary, lag_of
from api_server.domain.errors import StoreUnavailable

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Client:
    """Its own admin database, which answers as it is told, or not at all."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = None

    @property
    def admin(self) -> "Client":
        return self

    async def command(self, _: str, **__: Any) -> dict[str, Any]:
        if self.answer is None:
            raise TimeoutError
        return self.answer


def behind(seconds: float) -> dict[str, Any]:
    last_write = {"lastWriteDate": NOW, "majorityWriteDate": NOW - timedelta(seconds=seconds)}
    return {"localTime": NOW, "lastWrite": last_write}


@pytest.mark.parametrize(
    ("answer", "lag"), [(behind(0), 0), (behind(3), 3), (behind(-1), 0), ({}, 0), ({"lastWrite": {}}, 0)]
)
def test_the_lag_is_what_a_majority_has_not_written_yet(answer: dict[str, Any], lag: float) -> None:
    assert lag_of(answer) == lag


async def test_writes_wait_longer_for_a_majority_that_lags_but_not_for_ever_or_for_nobody() -> None:
    client = Client()
    primary = Primary(client)
    for seconds, lag in [(0, 0.0), (3, 3.0), (60, LONGEST_LAG)]:
        client.answer = behind(seconds)
        assert await primary.read_time() == NOW
        assert primary.lag == lag
    client.answer = None
    with pytest.raises(StoreUnavailable):
        await primary.read_time()
    assert primary.lag == 0
