"""How an image is opened: for reading or writing, with which key, and what it may open in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.disk import gate
from virtkit.disk.file import File

if TYPE_CHECKING:
    from virtkit.disk.reference import Reference


class Access(NamedTuple):
    writable: bool = False
    allow_backing: bool = False  # files that the image names may lie outside of its directory
    trust_format: bool = False  # open it as what the caller says although it carries another format's signature
    shared: bool = False  # open it although a running machine has it open; what is read may be older or torn
    secret: bytes | None = None  # passphrase, of every encrypted image of the chain
    parent: str | None = None  # path of the backing image, in place of what the image says

    def open(self, image: File, reference: Reference, *, what: str) -> File:
        """A file that ``image`` consists of besides itself; ``what`` it is, for messages.

        ForbiddenReferenceError, NotFoundError.
        """
        path = gate.resolve(image.name, reference, allow_backing=self.allow_backing, what=what)
        return File.open(path, writable=self.writable, shared=self.shared)


READ_ONLY = Access()
