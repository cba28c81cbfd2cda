"""The parent of a differencing image. VDI names it by its UUID alone: VirtualBox has a registry, we look around."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from virtkit.core.errors import VirtkitError
from virtkit.disk.format import Reference
from virtkit.disk.formats.vdi.layout import NOBODY, Header, name_of
from virtkit.disk.formats.vdi.signature import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.access import Access
    from virtkit.disk.file import File

MOST = 512  # files that are looked into


def find(image: File, uuid: bytes, access: Access) -> Reference:
    """The image with that UUID in the same directory; with ``allow_backing`` also in the one above.

    VirtualBox keeps a machine's disk beside its settings and the images of its snapshots in a folder below. Where
    nothing is found, the answer is the name that VirtualBox gives such images: opening that says what is missing.
    """
    looking = access._replace(writable=False, shared=True)
    if uuid != NOBODY:
        for name in islice(_candidates(image, f"{name_of(uuid)}.vdi", access), MOST):
            if _is(image, name, uuid, looking):
                return Reference(name, "vdi")
    return Reference(f"{name_of(uuid)}.vdi", "vdi")


def _candidates(image: File, likely: str, access: Access) -> Iterator[str]:
    """Names relative to the image's directory: the likely one first, then those of VDI images, then all others."""
    home = os.path.dirname(image.name) or "."
    for folder in ("", "..") if access.allow_backing else ("",):
        try:
            names = os.listdir(os.path.join(home, folder))
        except OSError:
            continue
        names.sort(key=lambda name: (name != likely, not name.lower().endswith(".vdi"), name))
        yield from (os.path.join(folder, name) for name in names)


def _is(image: File, name: str, uuid: bytes, access: Access) -> bool:
    try:
        file = access.open(image, Reference(name, "vdi"), what="parent")
    except VirtkitError:  # it may not be opened, or has gone
        return False
    try:
        head = file.read(0, Header.SIZE)
        if file.identity == image.identity or len(head) < Header.SIZE:
            return False
        header = Header.parse(head)
        return header.signature == SIGNATURE and header.uuid == uuid
    finally:
        file.close()
