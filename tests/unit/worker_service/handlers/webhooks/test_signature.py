"""The signature of a webhook, and the secrets."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_service.handlers.webhooks.signature import RULE, secret_bytes, signatures

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a public example
"""The example of the Standard Webhooks libraries, with its signature below."""
KEY = secret_bytes(SECRET)
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_that_of_the_specification() -> None:
    assert signatures([KEY], ID, TIMESTAMP, BODY) == SIGNATURE


def test_each_secret_signs_so_that_receivers_can_change_theirs() -> None:
    other = b"n" * 32
    both = signatures([other, KEY], ID, TIMESTAMP, BODY).split(" ")
    assert both == [signatures([other], ID, TIMESTAMP, BODY), SIGNATURE]


@given(st.text("abc"), st.integers(0, 2**32), st.binary(max_size=20), st.binary(min_size=24, max_size=64))
def test_every_other_webhook_has_another_signature(more: str, time: int, body: bytes, key: bytes) -> None:
    assert signatures([KEY], "x" + more, TIMESTAMP, BODY) != SIGNATURE
    assert signatures([KEY], ID, TIMESTAMP + 1 + time, BODY) != SIGNATURE
    assert signatures([KEY], ID, TIMESTAMP, BODY + b"x" + body) != SIGNATURE
    assert (signatures([key], ID, TIMESTAMP, BODY) == SIGNATURE) == (key == KEY)


@pytest.mark.parametrize("length", [24, 64])
def test_a_secret_has_24_to_64_bytes(length: int) -> None:
    text = "whsec_" + base64.b64encode(b"k" * length).decode()
    assert secret_bytes(text) == b"k" * length


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!w",
        "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(),
        "whsec_ä",
    ],
)
def test_another_secret_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="whsec_ followed by") as caught:
        secret_bytes(text)
    assert str(caught.value) == RULE
