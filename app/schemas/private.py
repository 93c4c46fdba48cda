"""Which hosts are private: those that only this machine or a network behind it can reach."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

# From IANA's registries of special addresses, because Python's own tables differ by release.
# Addresses for documentation are left out: nothing answers there.
_PRIVATE_V4 = [
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this network": systems take 0.0.0.0 for loopback
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, with the metadata services of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks of networks
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
]
_PRIVATE_V6 = [
    IPv6Network(network)
    for network in (
        "::/128",
        "::1/128",
        "64:ff9b:1::/48",  # NAT64 within a network
        "100::/64",  # discard
        "2001::/32",  # Teredo
        "fc00::/7",  # unique local
        "fe80::/10",  # link-local
        "fec0::/10",  # site-local
        "ff00::/8",  # multicast
    )
]
# What leads to an IPv4 address, and how many bits stand behind that in the IPv6 address.
_EMBEDDING = [
    (IPv6Network(network), behind)
    for network, behind in (
        ("::/96", 0),  # IPv4-compatible
        ("::ffff:0:0/96", 0),  # IPv4-mapped
        ("::ffff:0:0:0/96", 0),  # IPv4-translated
        ("64:ff9b::/96", 0),  # NAT64
        ("2002::/16", 80),  # 6to4
    )
]
_PRIVATE_ENDS = (
    ".localhost",
    ".local",
    ".internal",
    ".home.arpa",
    # No top-level domains; networks use them for themselves (RFC 6762).
    ".localdomain",
    ".lan",
    ".intranet",
    ".private",
    ".corp",
    ".home",
)


def is_private(host: str) -> bool:
    """Whether a host, as `host_and_port` spells it, is private. No DNS is asked."""
    if host.startswith("["):
        return _is_private_v6(IPv6Address(host[1:-1]))
    if "." not in host or f".{host}".endswith(_PRIVATE_ENDS):
        return True
    return host.rpartition(".")[2].isdigit() and _is_private_v4(IPv4Address(host))


def _is_private_v4(address: IPv4Address) -> bool:
    return any(address in network for network in _PRIVATE_V4)


def _is_private_v6(address: IPv6Address) -> bool:
    if any(address in network for network in _PRIVATE_V6):
        return True
    return any(
        _is_private_v4(IPv4Address(int(address) >> behind & 0xFFFFFFFF))
        for network, behind in _EMBEDDING
        if address in network
    )
