"""How long a write waits for a majority."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_server.adapters.mongo.primary import LONGEST_LAG, Primary, lag_of
from api_server.domain.errors import StoreUnavailable

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Client:
    """Also its own admin database. It gives the configured answer, or none."""

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
def test_the_lag_is_the_time_between_the_latest_write_and_that_of_a_majority(
    answer: dict[str, Any], lag: float
) -> None:
    assert lag_of(answer) == lag


async def test_writes_get_more_time_while_a_majority_lags_but_not_without_limit_or_without_a_primary() -> (
    None
):
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
