"""Which addresses a webhook may be sent to.

Anybody who may create jobs chooses the URL, and the worker can reach what they cannot: databases, the other
services, and the metadata of the cloud. So only public addresses are allowed, and the networks that a setting
names.
"""

import ipaddress
from collections.abc import Iterator, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Python's own `is_global` depends on its version: 3.11 knows an older list. These are the networks of the
# IANA registries of special-purpose addresses that are not globally reachable, and those whose addresses
# stand for others.
SPECIAL: tuple[Network, ...] = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        # The metadata and DNS of Azure, although the network is public.
        "168.63.129.16/32",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
UNICAST = ipaddress.IPv6Network("2000::/3")
"""All public IPv6 addresses are in it."""
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""Its addresses stand for IPv4 addresses, in their last 32 bits."""


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether a webhook may be sent to `address`. `allowed`: networks besides the public ones."""
    return all(_is_public(each) or _is_in(each, allowed) for each in _meant_by(address))


def _meant_by(address: Address) -> Iterator[Address]:
    """The addresses that a packet to `address` may reach: itself, or the IPv4 address inside it."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in NAT64:
        yield ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    else:
        yield address


def _is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address not in UNICAST:
        return False
    return address.is_global and not _is_in(address, SPECIAL)


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
