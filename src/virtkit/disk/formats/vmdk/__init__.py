"""VMDK, the formats in one file: monolithicSparse and streamOptimized.

Specification: VMware, Virtual Disk Format 5.0; what programs really write is told where it differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.core.units import SECTOR
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.formats.vmdk import descriptor, layout
from virtkit.disk.formats.vmdk.grains import VmdkImage

if TYPE_CHECKING:
    from virtkit.disk.file import File

_TYPES = ("monolithicSparse", "streamOptimized")
_TEXT = b"# Disk DescriptorFile"
_HINT = "qemu-img convert -O qcow2 {} new.qcow2"


class Vmdk:
    title = "VMware virtual disk"
    suffixes = (".vmdk",)

    def probe(self, head: bytes) -> bool:
        return head[:4] in {layout.MAGIC, layout.COWD_MAGIC} or head[: len(_TEXT)].lower() == _TEXT.lower()

    def open(self, file: File, access: Access = READ_ONLY) -> VmdkImage:
        if access.writable:
            raise NotSupportedError(f"{file.name}: VMDK cannot be written in place yet")
        start = file.read(0, SECTOR)
        if start[: len(_TEXT)].lower() == _TEXT.lower():
            text = descriptor.read(file, 0, descriptor.MAX_SIZE)
            raise _not_supported(file, text.create_type)
        if start[:4] == layout.COWD_MAGIC:
            raise _not_supported(file, "vmfsSparse (COWD)")
        if start[:4] != layout.MAGIC:
            raise CorruptImageError(file.name, "signature", found=start[:4].hex(" "), expected="KDMV", offset=0)
        header = layout.read_header(file)
        if not header.descriptor_offset or file.read(header.descriptor_offset * SECTOR, 1) == b"\0":
            raise NotSupportedError(f"{file.name}: is one part of a split disk, expected {' or '.join(_TYPES)}")
        text = descriptor.read(file, header.descriptor_offset * SECTOR, header.descriptor_size * SECTOR)
        if text.create_type not in _TYPES or text.extents != ("SPARSE",) or not header.capacity:
            raise _not_supported(file, f"{text.create_type} with extents {', '.join(text.extents) or 'missing'}")
        return VmdkImage(file, header, text)


def _not_supported(file: File, create_type: str) -> NotSupportedError:
    return NotSupportedError(
        f"{file.name}: createType is {create_type}, expected {' or '.join(_TYPES)}", hint=_HINT.format(file.name)
    )


FORMAT = Vmdk()
