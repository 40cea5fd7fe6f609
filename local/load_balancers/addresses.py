"""Which addresses the load balancers may connect to: those of this machine, and of containers."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")


class AddressRefused(Exception):
    """The target's address is not one of the local stack."""


class TargetAddresses:
    """Translates the ID of a target into the address to connect to."""

    def __init__(self, allowed_networks: Iterable[str] = ()) -> None:
        """Args: allowed_networks: the container engine's networks, e.g. "172.17.0.0/16"."""
        self._networks = [LOOPBACK, *map(ipaddress.ip_network, allowed_networks)]

    def resolve(self, target_id: str) -> str:
        """Return the address. Numbers may have leading zeros, e.g. "127.0.0.001".

        MiniStack compares addresses as text, so the local stack writes one address in several ways
        where a machine has only 127.0.0.1: see `local.addresses`.

        Raises:
            AddressRefused: the local load balancers must not connect to it.
        """
        parts = target_id.split(".")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts):
            raise AddressRefused(f"target {target_id!r} is not an IPv4 address")
        try:
            address = ipaddress.ip_address(".".join(str(int(part)) for part in parts))
        except ValueError:
            raise AddressRefused(f"target {target_id!r} is not an IPv4 address") from None
        if not any(address in network for network in self._networks):
            raise AddressRefused(
                f"target {target_id} is outside {', '.join(map(str, self._networks))}"
            )
        return str(address)
