"""Where a changed file goes: netplan reads several directories, and not all of them are the administrator's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.net.backend import File

if TYPE_CHECKING:
    from virtkit.net.backends.netplan.document import Document

ETC, PACKAGES = "/etc/netplan", "/lib/netplan"
PRIVATE = 0o600  # netplan warns of anything that others may read


def placed(document: Document, text: str) -> File:
    """A package's file is not ours: one of the same name in /etc hides it."""
    directory, _, name = document.path.rpartition("/")
    if directory == PACKAGES:
        return File(f"{ETC}/{name}", text, PRIVATE)
    if directory != ETC:
        raise NotSupportedError(
            f"{document.path}: is written anew at each start of the host, expected the link's settings in {ETC}",
            hint=f"cp {document.path} {ETC}/ and stop what writes it",
        )
    return File(document.path, text)
