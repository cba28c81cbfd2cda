"""A VMDK that is only read, with all its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.disk.formats.vmdk import opening
from virtkit.disk.formats.vmdk.flat import FlatPart, ZeroPart
from virtkit.disk.formats.vmdk.grains import SparsePart
from virtkit.disk.formats.vmdk.image import VmdkImage

if TYPE_CHECKING:
    from virtkit.disk.access import Access
    from virtkit.disk.file import File
    from virtkit.disk.formats.vmdk import layout
    from virtkit.disk.formats.vmdk.part import Part


def open_image(file: File, access: Access) -> VmdkImage:
    return VmdkImage(file, *opening.read(file, access, _MAKE), access)


def _sparse(file: File, header: layout.Header, shape: layout.Shape, kind: str, base: int) -> Part:
    return SparsePart(file, shape, kind, base)


_MAKE = opening.Make(_sparse, FlatPart, ZeroPart)
