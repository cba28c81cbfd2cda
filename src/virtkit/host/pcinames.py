"""What vendors call their PCI devices: pci.ids of the hwdata project (or of pciutils), where it is installed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.host.kernel import Kernel
    from virtkit.host.pci import PciDevice

_FILES = ("/usr/share/hwdata/pci.ids", "/usr/share/misc/pci.ids", "/usr/share/pci.ids")
_LIMIT = 8 << 20  # bytes; it has 1.5 MB in 2026
_LINE = re.compile(r"(\t?)([0-9a-f]{4})  (.{1,200})", re.ASCII)


def names(kernel: Kernel, devices: Iterable[PciDevice]) -> dict[str, str]:
    """By address, ``Intel Corporation I350 Gigabit``; its numbers, ``8086:1521``, where nobody knows it."""
    wanted = {each.address: (each.vendor, each.device) for each in devices}
    known = _known(kernel, set(wanted.values()))
    return {address: known.get(ids) or _numbers(*ids) for address, ids in wanted.items()}


def _known(kernel: Kernel, wanted: set[tuple[int | None, int | None]]) -> dict[tuple[int | None, int | None], str]:
    text = next((text for path in _FILES if (text := kernel.text(path, _LIMIT))), "")
    found: dict[tuple[int | None, int | None], str] = {}
    vendor, maker = -1, ""
    for line in text.splitlines():
        parts = _LINE.fullmatch(line)
        if parts is None:
            vendor = vendor if line.startswith(("#", "\t")) else -1  # device classes follow the vendors
            continue
        number, name = int(parts[2], 16), parts[3].strip()
        if not parts[1]:
            vendor, maker = number, name
        elif (vendor, number) in wanted:
            found[vendor, number] = f"{maker} {name}"
    return found


def _numbers(vendor: int | None, device: int | None) -> str:
    return ":".join("????" if number is None else f"{number:04x}" for number in (vendor, device))
