"""Opens a VMDK for writing, or says why it can only be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.disk.formats.vmdk import opening
from virtkit.disk.formats.vmdk.livedisk import LiveVmdk
from virtkit.disk.formats.vmdk.liveflat import LiveFlat, LiveZero
from virtkit.disk.formats.vmdk.livesparse import LiveSparse

if TYPE_CHECKING:
    from virtkit.disk.access import Access
    from virtkit.disk.file import File
    from virtkit.disk.formats.vmdk.layout import Header, Shape
    from virtkit.disk.formats.vmdk.part import Part

TRACKED = 3  # header version of disks whose changed blocks VMware tracks


def open_live(file: File, access: Access) -> LiveVmdk:
    text, parts = opening.read(file, access, opening.Make(_sparse, LiveFlat, LiveZero))
    try:
        for line in text.extents if parts and parts[0].kind else ():
            if line.access != "RW" and line.sectors:
                raise _refused(file, f"extent of descriptor line {line.number} is {line.access}")
        return LiveVmdk(file, text, parts, access)
    except BaseException:
        opening.close_all(parts, but=file)
        raise


def _sparse(file: File, header: Header, shape: Shape, kind: str, base: int) -> Part:
    if shape.compressed:
        raise _refused(file, "compressed grains")
    if header.version == TRACKED:
        raise _refused(file, "header version 3, whose tracking of changed blocks would go stale")
    return LiveSparse(file, header, shape, kind, base)


def _refused(file: File, why: str) -> NotSupportedError:
    return NotSupportedError(f"{file.name}: can only be read: {why}", hint=opening.HINT.format(file.name))
