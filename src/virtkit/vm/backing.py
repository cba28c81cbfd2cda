"""Which machines want their memory in huge pages: ``<memoryBacking><hugepages>``, docs/formatdomain."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError
from virtkit.core.units import MIB
from virtkit.vm.xml import UNITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain

DEFAULT = 2 * MIB  # bytes: where the XML says no size the host's default counts, on x86 this


class HugeClaim(NamedTuple):
    """A machine that cannot start without them."""

    name: str
    active: bool
    size: int  # bytes of a page
    memory: int  # bytes


def page_size(domain: Domain) -> int | None:
    """Bytes of its huge pages; None: its memory is in none."""
    if domain.node.find("memoryBacking/hugepages") is None:
        return None
    page = domain.node.find("memoryBacking/hugepages/page")
    if page is None or not page.get("size", "").isdecimal():
        return DEFAULT
    return int(page.get("size", "")) * UNITS.get(page.get("unit", ""), UNITS[""])


def claims(libvirt: Connection) -> Iterator[HugeClaim]:
    """Of every machine, running or not."""
    for machine in libvirt.machines():
        try:
            domain, active = machine.now(), machine.active
        except NotFoundError:  # undefined since the list was made
            continue
        if size := page_size(domain):
            yield HugeClaim(machine.name, active, size, domain.memory)
