"""Which addresses are the public internet's, and whose are none of a caller's business."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

LONGEST_URL = 2048
"""Characters."""

_PRIVATE = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' own
        "127.0.0.0/8",
        "168.63.129.16/32",  # a public address by which Azure's machines find their host
        "169.254.0.0/16",  # link-local, where clouds answer with a machine's credentials
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
        "2001::/23",  # Teredo, ORCHID and others, each of which leads somewhere else
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which has an IPv4 address in it
        "3fff::/20",
    )
)
_GLOBAL = IPv6Network("2000::/3")
"""All that is given out of IPv6. Beyond it are loopback, link-local, private and multicast addresses, and those that
stand for one of IPv4: mapped, compatible and translated (NAT64) ones."""

_NOBODYS = ("192.0.2.1", "2001:db8::1")
"""Of documentation, in IPv4 and in IPv6."""


def is_public(address: str) -> bool:
    """Whether anybody may be asked there. Of what is no address in its usual form, the answer is no."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if found.version == 6 and (found.scope_id is not None or found not in _GLOBAL):
        return False
    return not any(found in network for network in _PRIVATE if _fits(network, found.version))


def is_ours(address: str) -> bool:
    """Whether this machine has what ``is_public`` takes for an address: what a firewall keeps from the internet, it
    does not keep from the machine itself."""
    # Some machines may bind to any address, so that they can take over that of another.
    return _binds(address) and not _binds(_NOBODYS[":" in address])


def _binds(address: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True


def _fits(network: IPv4Network | IPv6Network, version: int) -> bool:
    return network.version == version
