"""Which addresses a webhook may be sent to."""

import ipaddress
import re
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_service.handlers.webhooks.addresses import NAT64, SPECIAL, Address, is_allowed

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "192.0.1.1", "100.63.255.255", "100.128.0.0", "2606:4700::1111"]
PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "100:0:0:2::",
    "4000::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
ADDRESSES = st.ip_addresses() | st.sampled_from([ip_address(each) for each in (*PUBLIC, *PRIVATE)])


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_allowed(text: str) -> None:
    assert is_allowed(ip_address(text), [])


@pytest.mark.parametrize("text", PRIVATE)
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    assert not is_allowed(ip_address(text), [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.0.1", True),
        ("10.2.0.1", False),
        ("::ffff:10.1.0.1", True),
        ("::ffff:10.2.0.1", False),
        ("::1", True),
    ],
)
def test_a_network_of_the_setting_is_allowed_and_no_other(text: str, expected: bool) -> None:
    allowed = [ip_network("10.1.0.0/16"), ip_network("::1/128")]
    assert is_allowed(ip_address(text), allowed) is expected


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_address_counts_as_itself(address: ipaddress.IPv4Address) -> None:
    mapped = ip_address(f"::ffff:{address}")
    translated = ip_address(int(NAT64.network_address) + int(address))
    for inside in (mapped, translated):
        assert is_allowed(inside, []) == is_allowed(address, [])


@given(ADDRESSES)
def test_what_is_allowed_is_public_by_the_standard_library_and_by_the_list(address: Address) -> None:
    if is_allowed(address, []) and not re.match("::ffff:|64:ff9b::", str(address)):
        assert address.is_global
        assert not any((address.is_private, address.is_loopback, address.is_link_local, address.is_multicast))
        assert not any((address.is_reserved, address.is_unspecified))


@pytest.mark.parametrize("network", SPECIAL, ids=str)
def test_the_first_and_the_last_address_of_a_special_network_are_refused(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> None:
    for address in (network.network_address, network.broadcast_address):
        assert not is_allowed(address, [])
