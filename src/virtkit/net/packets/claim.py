"""What answers of ARP and of neighbour discovery have in common."""

from __future__ import annotations

from typing import NamedTuple


class Claim(NamedTuple):
    """Somebody on the link says: this address is mine."""

    address: bytes
    mac: bytes
