"""Image files, and which of them stand on which: read from the files themselves, each once."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from virtkit import disk
from virtkit.core.errors import VirtkitError
from virtkit.recipes.snapshots.chains import TRUSTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.description import Info


class Shelf:
    """Paths are real ones."""

    def __init__(self) -> None:
        self._looked: dict[str, Info | None] = {}

    def look(self, path: str) -> Info | None:
        """What the image says of itself; None for what is none, or cannot be read."""
        if path not in self._looked:
            try:
                self._looked[path] = disk.info(path, access=TRUSTED)
            except (VirtkitError, OSError):
                self._looked[path] = None
        return self._looked[path]

    def below(self, path: str) -> tuple[str, ...]:
        """The files that the image stands on, top down, as far as they are there."""
        found: list[str] = []
        here = path
        while (under := self._backing(here)) and under not in found:
            found.append(under)
            here = under
        return tuple(found)

    def above(self, directories: Iterable[str]) -> dict[str, set[str]]:
        """By image those in ``directories`` that stand right on it."""
        found: dict[str, set[str]] = {}
        for image in _files(directories):
            if backing := self._backing(image):
                found.setdefault(backing, set()).add(image)
        return found

    def _backing(self, image: str) -> str:
        info = self.look(image)
        if info is None or info.backing is None:
            return ""
        path = os.path.realpath(os.path.join(os.path.dirname(image), info.backing.name.removeprefix("file:")))
        return path if os.path.exists(path) else ""


def _files(directories: Iterable[str]) -> Iterator[str]:
    for directory in sorted({os.path.realpath(each) for each in directories}):
        try:
            names = sorted(os.listdir(directory))
        except OSError:  # it went, or is nobody's to read
            continue
        for name in names:
            path = os.path.realpath(os.path.join(directory, name))
            if _holds_image(path):
                yield path


def _holds_image(path: str) -> bool:
    """A regular file, or the logical volume that a link in a pool's directory leads to; no pipe: that would block."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISBLK(mode)
