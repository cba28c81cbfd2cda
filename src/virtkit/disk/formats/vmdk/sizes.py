"""How long the files of a new VMDK become, all together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import KIB, SECTOR, round_up
from virtkit.disk.format import Measured
from virtkit.disk.formats.vmdk import stream
from virtkit.disk.formats.vmdk.layouts import GRAIN, data_sector
from virtkit.disk.formats.vmdk.options import MONOLITHIC_SPARSE, Options
from virtkit.disk.formats.vmdk.writer import parts

if TYPE_CHECKING:
    from virtkit.disk.format import Blank

_DESCRIPTOR = KIB  # bytes that a descriptor file takes at most, without its extents
_LINE = 64  # bytes of one of them, about


def measure(blank: Blank) -> Measured:
    chosen = Options(blank.options)
    if chosen.stream:
        return stream.measure(blank)
    if chosen.subformat == MONOLITHIC_SPARSE:
        front = data_sector(blank.size, embedded=True) * SECTOR
        return Measured(front + round_up(blank.data, GRAIN), front + round_up(blank.size, GRAIN))
    files = parts("disk.vmdk", blank.size, chosen)
    described = _DESCRIPTOR + _LINE * len(files)
    if chosen.flat:
        return Measured(described + blank.size, described + blank.size)
    front = described + sum(data_sector(size, embedded=False) * SECTOR for _, size in files)
    return Measured(front + round_up(blank.data, GRAIN), front + sum(round_up(size, GRAIN) for _, size in files))
