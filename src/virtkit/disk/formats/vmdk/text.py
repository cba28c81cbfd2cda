"""The descriptor of a VMDK as it is written, and as it is changed in place."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError
from virtkit.core.units import GIB, SECTOR
from virtkit.disk.formats.vmdk.descriptor import NO_PARENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.disk.formats.vmdk.descriptor import Line
    from virtkit.disk.formats.vmdk.options import Options

MAX_IDE_CYLINDERS, MAX_SCSI_CYLINDERS = 16383, 65535
_RESERVED = (0, NO_PARENT, NO_PARENT - 1)  # VMware means something else by these content ids


class Geometry(NamedTuple):
    cylinders: int
    heads: int
    sectors: int


def geometry(size: int, adapter: str) -> Geometry:
    """What VMware writes for a disk of ``size`` bytes."""
    if adapter == "ide":
        heads, sectors, most = 16, 63, MAX_IDE_CYLINDERS
    elif size < GIB:
        heads, sectors, most = 64, 32, MAX_SCSI_CYLINDERS
    elif size < 2 * GIB:
        heads, sectors, most = 128, 32, MAX_SCSI_CYLINDERS
    else:
        heads, sectors, most = 255, 63, MAX_SCSI_CYLINDERS
    return Geometry(min(size // SECTOR // (heads * sectors), most), heads, sectors)


def new_cid(digits: int = 8) -> int:
    """A random content id that is written with exactly so many hexadecimal digits, without leading zeros."""
    while True:
        found = int.from_bytes(os.urandom(4)) >> 4 * (8 - digits)
        if found >> 4 * (digits - 1) and found not in _RESERVED:
            return found


def new_uuid() -> str:
    """Random, version 4."""
    digits = bytearray(os.urandom(16))
    digits[6], digits[8] = digits[6] & 0x0F | 0x40, digits[8] & 0x3F | 0x80
    found = digits.hex()
    return "-".join((found[:8], found[8:12], found[12:16], found[16:20], found[20:]))


def line(extent: Line) -> str:
    """One extent; UsageError where the file's name cannot be written."""
    if not extent.name.isprintable() or '"' in extent.name:
        raise UsageError(f"{extent.name!r}: cannot stand in a VMDK, expected a name without quotation marks")
    name = f' "{extent.name}"' if extent.name else ""
    offset = f" {extent.offset}" if extent.offset is not None else ""
    return f"{extent.access} {extent.sectors} {extent.kind}{name}{offset}"


def render(chosen: Options, size: int, extents: Sequence[Line], parent: tuple[str, int] | None) -> bytes:
    """A whole descriptor; ``parent``: its name and content id. UsageError."""
    shape = geometry(size, chosen.adapter)
    name, cid = parent or ("", NO_PARENT)
    return "\n".join(
        [
            "# Disk DescriptorFile",
            "version=1",
            f"CID={new_cid():08x}",
            f"parentCID={cid:08x}",
            f'createType="{chosen.subformat}"',
            *([hint(name)] if parent else []),
            "",
            "# Extent description",
            *(line(extent) for extent in extents),
            "",
            "# The Disk Data Base",
            "#DDB",
            "",
            f'ddb.virtualHWVersion = "{chosen.hw_version}"',
            f'ddb.geometry.cylinders = "{shape.cylinders}"',
            f'ddb.geometry.heads = "{shape.heads}"',
            f'ddb.geometry.sectors = "{shape.sectors}"',
            f'ddb.adapterType = "{chosen.adapter}"',
            f'ddb.toolsVersion = "{chosen.tools_version}"',
            "",
        ]
    ).encode(errors="surrogateescape")


def hint(name: str) -> str:
    if not name.isprintable() or '"' in name:
        raise UsageError(f"{name!r}: cannot stand in a VMDK, expected a name without quotation marks")
    return f'parentFileNameHint="{name}"'


def replaced(text: str, key: str, value: str) -> str:
    """``text`` with another value of the first ``key``, quoted or not as it was; as it is where there is none."""
    found = re.search(rf'^([ \t]*{re.escape(key)}[ \t]*=[ \t]*"?)([^"\r\n]*)', text, re.MULTILINE)
    return text[: found.start(2)] + value + text[found.end(2) :] if found else text


def without(text: str, key: str) -> str:
    """``text`` without the lines of ``key``."""
    return re.sub(rf"^[ \t]*{re.escape(key)}[ \t]*=[^\n]*(?:\n|\Z)", "", text, flags=re.MULTILINE)
