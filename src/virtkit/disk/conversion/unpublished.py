"""An image that has no name yet, opened all the same: to prove it, or to put more into it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.disk.access import Access
from virtkit.disk.chain import Chain, Layer

if TYPE_CHECKING:
    from virtkit.disk.conversion.order import Design
    from virtkit.disk.file import File
    from virtkit.disk.format import Image
    from virtkit.disk.newfile import NewFile
    from virtkit.disk.reference import Reference


class _Within(Access):
    """The files that the new image consists of are found among the new ones."""

    new: NewFile

    def open(self, image: File, reference: Reference, *, what: str) -> File:
        return self.new.again(os.path.basename(reference.name))


def opened(design: Design, new: NewFile, *, writable: bool = False) -> Image:
    """Through descriptors of its own; what is written to it is written to ``new``."""
    access = _Within(writable=writable, secret=design.wanted.secret)
    access.new = new
    file = new.again()
    try:
        return design.kind.open(file, access)
    except BaseException:
        file.close()
        raise


def chain(design: Design, new: NewFile) -> Chain:
    """With what it stands on, which its owner closes: close the first layer alone."""
    top = Layer(opened(design, new), design.wanted.format)
    return Chain([top, *(design.below.layers if design.below else ())])
