"""Marks by which programs guess a format: QEMU's drivers, file(1), boot loaders. A disk should carry one at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import SECTOR

if TYPE_CHECKING:
    from virtkit.disk.file import File


class Mark(NamedTuple):
    format: str
    at: int  # byte of the file; negative: from its end
    magic: bytes


MARKS = (
    Mark("qcow", 0, b"QFI\xfb\0\0\0\1"),
    Mark("qcow2", 0, b"QFI\xfb\0\0\0\2"),
    Mark("qcow2", 0, b"QFI\xfb\0\0\0\3"),
    Mark("cow", 0, b"OOOM"),
    Mark("qed", 0, b"QED\0"),
    Mark("vmdk", 0, b"KDMV"),
    Mark("vmdk", 0, b"COWD"),
    Mark("vmdk", 0, b"# Disk DescriptorFile"),
    Mark("vmdk", 0, b"\xbe\xba\xfe\xca\0\0\0\0"),  # seSparse
    Mark("vdi", 64, b"\x7f\x10\xda\xbe"),
    Mark("vpc", 0, b"conectix"),
    Mark("vpc", -SECTOR, b"conectix"),
    Mark("vhdx", 0, b"vhdxfile"),
    Mark("parallels", 0, b"WithoutFreeSpace"),
    Mark("parallels", 0, b"WithouFreSpacExt"),
    Mark("luks", 0, b"LUKS\xba\xbe"),
    Mark("bochs", 0, b"Bochs Virtual HD Image"),
    Mark("cloop", 0, b"#!/bin/sh\n#V2.0 Format"),
    Mark("dmg", -SECTOR, b"koly"),
    Mark("iso9660", 0x8001, b"CD001"),
)


def found(file: File) -> list[Mark]:
    """All that the file carries."""
    size = file.size
    return [mark for mark in MARKS if _carries(file, size, mark)]


def _carries(file: File, size: int, mark: Mark) -> bool:
    at = mark.at if mark.at >= 0 else size + mark.at
    return at >= 0 and file.read(at, len(mark.magic)) == mark.magic
