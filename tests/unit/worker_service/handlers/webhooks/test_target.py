"""The parts of a webhook's URL, and the addresses of its host."""

import socket
from ipaddress import ip_network
from typing import Any

import pytest

from worker_service.handler_api.errors import InputError, PermanentError
from worker_service.handlers.webhooks.target import (
    MAX_ADDRESSES,
    HostNotFound,
    Target,
    checked_addresses,
    target_of,
)

LOCAL = [ip_network("127.0.0.0/8")]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example", Target(True, "a.example", 443, "a.example", "/")),
        ("http://a.example?b=c", Target(False, "a.example", 80, "a.example", "/?b=c")),
        ("http://A.example.:81/x?y", Target(False, "a.example", 81, "A.example.:81", "/x?y")),
        ("https://[::1]:444/", Target(True, "::1", 444, "[::1]:444", "/")),
    ],
)
def test_a_url_has_these_parts(url: str, expected: Target) -> None:
    assert target_of(url) == expected


@pytest.mark.parametrize("url", ["", "https://user@a.example/", "https://a.example/#x", "gopher://a/"])
def test_a_url_that_the_contract_refuses_is_refused_here_too(url: str) -> None:
    with pytest.raises(InputError, match="url: must be"):
        target_of(url)


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    def getaddrinfo(_host: str, port: int, **_options: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, *_args, **_more: getaddrinfo(host, port))


async def test_the_addresses_of_a_public_host_are_tried_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolves_to(monkeypatch, "8.8.8.8", "8.8.8.8", "1.1.1.1", "8.8.4.4", "1.0.0.1")
    addresses = await checked_addresses(target_of("https://a.example/"), [])
    assert addresses == ["8.8.8.8", "1.1.1.1", "8.8.4.4"]
    assert len(addresses) == MAX_ADDRESSES


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["8.8.8.8", "::1"], ["8.8.8.8"] * 9 + ["127.0.0.1"]])
async def test_one_address_that_is_not_public_is_enough_to_refuse_and_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolves_to(monkeypatch, *addresses)
    with pytest.raises(PermanentError, match="not public") as caught:
        await checked_addresses(target_of("https://a.example/"), [])
    assert addresses[-1] not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::ffff:127.0.0.1]", "localhost"]
)
async def test_every_way_to_write_the_own_machine_is_refused_unless_it_is_allowed(host: str) -> None:
    target = target_of(f"http://{host}/")
    with pytest.raises(PermanentError, match="not public"):
        await checked_addresses(target, [])
    assert await checked_addresses(target, [*LOCAL, ip_network("::1/128")])


@pytest.mark.parametrize(
    ("host", "error"),
    [("a.invalid", HostNotFound), ("a..example", InputError), ("a" * 64 + ".example", InputError)],
)
async def test_a_host_that_cannot_be_resolved(host: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await checked_addresses(target_of(f"http://{host}/"), [])
