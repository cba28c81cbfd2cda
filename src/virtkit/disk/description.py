"""What ``disk info`` tells of one image file, in qemu-img's words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import ForbiddenReferenceError, NotFoundError
from virtkit.disk import locks

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.disk.chain import Layer
    from virtkit.disk.format import Facts, Reference


class Info(NamedTuple):
    """One image without what lies below it; sizes in bytes."""

    filename: str
    format: str
    virtual_size: int
    actual_size: int  # what the file takes on its file system
    facts: Facts
    backing: Reference | None = None
    files: tuple[str, ...] = ()  # the others that it consists of
    missing: str = ""  # why one of these could not be opened
    users: tuple[str, ...] = ()  # who has it open for writing, or keeps others from writing

    def data(self) -> dict[str, Json]:
        """The keys and values of ``qemu-img info --output json``; ``in-use-by`` besides, where somebody uses it."""
        shown: dict[str, Json] = {
            "virtual-size": self.virtual_size,
            "filename": self.filename,
            "format": self.format,
            "actual-size": self.actual_size,
            "dirty-flag": self.facts.dirty,
        }
        if self.facts.cluster_size:
            shown["cluster-size"] = self.facts.cluster_size
        if self.facts.encrypted:
            shown["encrypted"] = True
        if self.facts.specific is not None:
            shown["format-specific"] = {"type": self.format, "data": dict(self.facts.specific)}  # type: ignore[arg-type]  # Facts promises qemu-img's data
        if self.facts.snapshots:
            shown["snapshots"] = [dict(snapshot) for snapshot in self.facts.snapshots]  # type: ignore[arg-type]  # likewise
        if self.backing:
            shown.update(self._backing(self.backing))
        if self.users:
            shown["in-use-by"] = list(self.users)
        return shown

    def _backing(self, backing: Reference) -> dict[str, Json]:
        full = os.path.join(os.path.dirname(self.filename), backing.name)
        shown: dict[str, Json] = {"backing-filename": backing.name, "full-backing-filename": full}
        return {**shown, "backing-filename-format": backing.format} if backing.format else shown


def describe(layer: Layer) -> Info:
    """A file of the image that may not be opened, or is gone, is no reason to say nothing of the others."""
    image, missing = layer.image, ""
    try:
        files = image.files
    except (ForbiddenReferenceError, NotFoundError) as error:
        files, missing = (image.file,), error.message
    allocated = sum(file.allocated for file in files)
    users = tuple(map(str, locks.holders(image.file.name)))
    others = tuple(file.name for file in files if file is not image.file)
    return Info(
        image.file.name, layer.format, image.size, allocated, image.facts, image.backing, others, missing, users
    )
