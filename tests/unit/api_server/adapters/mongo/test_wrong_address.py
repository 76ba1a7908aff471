"""An address of the database that is wrong: the error says how to write it, and shows no part of it."""

import pytest

from api_server.adapters.mongo.client import URI_RULE, open_client, open_stream_client
from api_server.domain.errors import WrongStoreAddress

PASSWORD = "correct-horse"  # noqa: S105 - of nothing


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://",
        f"mongodb://user:{PASSWORD}%@host/",
        f"mongodb://user:{PASSWORD}@{PASSWORD}@host/",
        f"mongodb://user:{PASSWORD}/{PASSWORD}@host/",
        f"mongodb://user:{PASSWORD}@host:port/",
        f"mongodb://user:{PASSWORD}@host:99999/",
        f"mongodb://user:{PASSWORD}@[::1/",
        f"mongodb://user:{PASSWORD}@host/?replicaSet",
        f"mongodb://user:{PASSWORD}@host/?tlsCAFile=/no/such/file",
    ],
)
@pytest.mark.parametrize("opened", [open_client, open_stream_client])
async def test_a_wrong_address_is_not_shown(uri: str, opened: object) -> None:
    with pytest.raises(WrongStoreAddress) as caught:
        async with opened(uri):  # type: ignore[operator]  # - the two have the same type
            pass

    assert str(caught.value) == URI_RULE
    assert caught.value.__suppress_context__
