"""The parent of a VirtualBox differencing image, which names it by its UUID alone.

VMware and QEMU write parentFileNameHint and parentCID; VirtualBox has a registry, we look around in the directory.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from virtkit.core.errors import VirtkitError
from virtkit.core.units import SECTOR
from virtkit.disk.formats.vmdk import descriptor, layout, signature
from virtkit.disk.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.access import Access
    from virtkit.disk.file import File
    from virtkit.disk.formats.vmdk.descriptor import Descriptor

UUID, PARENT_UUID = "ddb.uuid.image", "ddb.uuid.parent"
CHANGE, PARENT_CHANGE = "ddb.uuid.modification", "ddb.uuid.parentmodification"
NOBODY = ("", "00000000-0000-0000-0000-000000000000")
MOST = 512  # files that are looked into
_HEAD = 16 * 1024  # bytes; VirtualBox's descriptors are in there, embedded or not


def uuid_in(text: Descriptor) -> str:
    """The UUID of the parent that ``text`` names; "" if it names none."""
    uuid = text.pairs.get(PARENT_UUID, "")
    return "" if uuid in NOBODY else uuid


def find(image: File, uuid: str, access: Access) -> Reference:
    """The image with that UUID in the same directory; with ``allow_backing`` also in the one above.

    VirtualBox keeps a machine's disk beside its settings and the images of its snapshots in a folder below. Where
    nothing is found, the answer is the name that VirtualBox gives such images: opening that says what is missing.
    """
    likely = f"{{{uuid}}}.vmdk"
    looking = access._replace(writable=False, shared=True)
    for name in islice(_candidates(image, likely, access), MOST):
        if _uuid_of(image, name, looking) == uuid:
            return Reference(name, "vmdk")
    return Reference(likely, "vmdk")


def _candidates(image: File, likely: str, access: Access) -> Iterator[str]:
    """Names relative to the image's directory, the likely one first."""
    home = os.path.dirname(image.name) or "."
    for folder in ("", "..") if access.allow_backing else ("",):
        try:
            names = sorted(os.listdir(os.path.join(home, folder)), key=lambda name: (name != likely, name))
        except OSError:
            continue
        yield from (os.path.join(folder, name) for name in names if name.lower().endswith(".vmdk"))


def _uuid_of(image: File, name: str, access: Access) -> str | None:
    """None where the file is no VMDK, the image itself, or may not be opened."""
    try:
        file = access.open(image, Reference(name, "vmdk"), what="parent")
    except VirtkitError:
        return None
    try:
        if file.identity == image.identity:
            return None
        head = file.read(0, _HEAD)
        at = layout.Header.parse(head, source=name).descriptor_offset if head[:4] == signature.MAGIC else 0
        return descriptor.read(file, at * SECTOR, _HEAD).pairs.get(UUID)
    except VirtkitError:
        return None
    finally:
        file.close()
