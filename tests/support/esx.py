"""Disks of VMware ESX, which no tool here writes: laid out by VMware's and QEMU's descriptions, and read by QEMU.

Sources: VMware, Virtual Disk Format 5.0, "ESX Server Sparse Extents"; QEMU, block/vmdk.c, vmdk_open_vmfs_sparse,
vmdk_open_se_sparse and get_cluster_offset. Nothing of virtkit is used here.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECTOR = 512
UNMAPPED, ZEROED = "unmapped", "zeroed"  # grains of seSparse that hold nothing, but hide the parent
SE_GRAIN = 4096  # bytes


def describe(
    path: Path, kind: str, extent_kind: str, sectors: int, extent: str, parent: tuple[str, str] | None
) -> None:
    """``parent``: its name and content id."""
    name, cid = parent or ("", "ffffffff")
    hint = f'parentFileNameHint="{name}"\n' if parent else ""
    path.write_text(
        f'# Disk DescriptorFile\nversion=1\nCID=2af7a6e8\nparentCID={cid}\ncreateType="{kind}"\n{hint}'
        f'# Extent description\nRW {sectors} {extent_kind} "{extent}"\n\n# The Disk Data Base\n#DDB\n'
        'ddb.adapterType = "lsilogic"\n'
    )


def cowd(sectors: int, grain: int, written: Mapping[int, bytes], seed: int = 0) -> bytes:
    """A COWD extent with grains of ``grain`` sectors; ``written`` grains lie in the file in an order of chance."""
    entries = 4096
    tables = -(-sectors // (entries * grain))
    directory = 4  # sectors: the header takes that many
    used = sorted({number // entries for number in written})
    first_table = directory + -(-tables * 4 // SECTOR)
    first_grain = first_table + len(used) * entries * 4 // SECTOR
    order = random.Random(seed).sample(sorted(written), len(written))
    places = {number: first_grain + index * grain for index, number in enumerate(order)}
    positions = [0] * tables
    for index, table in enumerate(used):
        positions[table] = first_table + index * entries * 4 // SECTOR
    header = struct.pack("<4s7I", b"COWD", 1, 3, sectors, grain, directory, tables, first_grain + len(order) * grain)
    data = header.ljust(directory * SECTOR, b"\0")
    data += struct.pack(f"<{tables}I", *positions).ljust((first_table - directory) * SECTOR, b"\0")
    for table in used:
        data += struct.pack(f"<{entries}I", *(places.get(table * entries + slot, 0) for slot in range(entries)))
    return data + b"".join(written[number].ljust(grain * SECTOR, b"\0") for number in order)


def sesparse(sectors: int, written: Mapping[int, bytes | str], seed: int = 0, first: int = 0) -> bytes:
    """A seSparse extent; ``written``: bytes of a grain, UNMAPPED or ZEROED. ``first``: grains left free in front."""
    entries, size = 4096, 64  # of a table, its sectors
    tables = -(-sectors // (entries * 8))
    directory, directory_size = 8, -(-tables * 8 // SECTOR)
    used = sorted({number // entries for number in written})
    filled = {number: grain for number, grain in written.items() if isinstance(grain, bytes)}
    order = random.Random(seed).sample(sorted(filled), len(filled))
    places = {number: first + index for index, number in enumerate(order)}
    tables_at = directory + directory_size
    grains_at = tables_at + len(used) * size
    fields = [0xCAFEBABE, 0x0000000200000001, sectors, 8, size, 0, 0, 0, 0, 0]
    fields += [1, 1, 2, 2, 4, 4]  # volatile header, journal header, journal
    fields += [directory, directory_size, tables_at, len(used) * size, 0, 0, 0, 0]
    fields += [grains_at, (first + len(order)) * 8]
    data = struct.pack("<26Q", *fields).ljust(SECTOR, b"\0")
    data += struct.pack("<4Q", 0xCAFECAFE, 0, 1, 0).ljust((directory - 1) * SECTOR, b"\0")
    positions = [0x1000000000000000 | used.index(table) if table in used else 0 for table in range(tables)]
    data += struct.pack(f"<{tables}Q", *positions).ljust(directory_size * SECTOR, b"\0")
    for table in used:
        numbers = range(table * entries, (table + 1) * entries)
        data += struct.pack(f"<{entries}Q", *(_entry(written.get(number), places.get(number)) for number in numbers))
    data += bytes(first * SE_GRAIN)
    return data + b"".join(filled[number].ljust(SE_GRAIN, b"\0") for number in order)


def _entry(grain: bytes | str | None, place: int | None) -> int:
    if grain is None:
        return 0
    if place is None:
        return 0x1000000000000000 if grain == UNMAPPED else 0x2000000000000000
    return 0x3000000000000000 | (place & 0xFFF) << 48 | place >> 12
