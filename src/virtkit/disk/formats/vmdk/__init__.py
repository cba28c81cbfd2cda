"""VMDK, all kinds of VMware's disks: in one file, in several, on a parent, compressed, of ESX.

Specification: VMware, Virtual Disk Format 5.0; what programs really write is told where it differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.formats.vmdk import cowd, descriptor, layout, opening
from virtkit.disk.formats.vmdk.grains import SparsePart
from virtkit.disk.formats.vmdk.image import VmdkImage

if TYPE_CHECKING:
    from virtkit.disk.file import File
    from virtkit.disk.formats.vmdk.part import Part


class Vmdk:
    title = "VMware virtual disk"
    suffixes = (".vmdk",)

    def probe(self, head: bytes) -> bool:
        signed = head[:4] in {layout.MAGIC, cowd.MAGIC} or head[:8] == opening.SESPARSE_MAGIC
        return signed or descriptor.is_text(head)

    def open(self, file: File, access: Access = READ_ONLY) -> VmdkImage:
        if access.writable:
            raise NotSupportedError(f"{file.name}: VMDK cannot be written in place yet")
        text, parts = opening.read(file, access, _sparse)
        return VmdkImage(file, text, parts, access)


def _sparse(file: File, header: layout.Header, shape: layout.Shape, kind: str, base: int) -> Part:
    return SparsePart(file, shape, kind, base)


FORMAT = Vmdk()
