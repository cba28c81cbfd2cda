"""What the guest writes goes into the bitmaps that are enabled, as when a machine has the image open.

While writes are only noted here, the image says of those bitmaps that they are in use: killed now, they are worth
nothing, and every program knows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError
from virtkit.core.units import MIB, round_down, round_up
from virtkit.disk.formats.qcow2 import bitmapreading, bitmaps, livebitmaps
from virtkit.disk.formats.qcow2.dirtybits import merged, united

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.format import Bitmap, Stretch
    from virtkit.disk.formats.qcow2.livebitmaps import Keeper

_MOST = 1 << 16  # stretches that are noted apart
_COARSE = MIB  # bytes; what is noted beyond that counts in these


class Recorder:
    def __init__(self, image: Keeper) -> None:
        self._image = image
        self._names: set[str] | None = None  # the bitmaps that record; None: nothing was written yet
        self._noted: list[Stretch] = []

    def note(self, start: int, length: int) -> None:
        """Before the guest's bytes change."""
        if self._names is None:
            self._begin()
        if not self._names:
            return
        self._noted.append((start, start + length))
        if len(self._noted) > 2 * _MOST:
            self._noted = _joined(self._noted)
        if len(self._noted) > _MOST:
            self._noted = _rounded(self._noted, _COARSE)

    def store(self) -> None:
        """The bitmaps know of all that was noted, and say so."""
        names, self._names = self._names, None
        noted, self._noted = _joined(self._noted), []
        for bitmap in self._stored():
            if names and bitmap.name in names:
                dirty = list(united(self._read(bitmap.name), noted))
                livebitmaps.store(self._image, bitmap._replace(broken=False), dirty)

    def listed(self) -> list[Bitmap]:
        names = self._names or set()
        return [bitmap._replace(broken=False) if bitmap.name in names else bitmap for bitmap in self._stored()]

    def read(self, name: str) -> Iterator[Stretch]:
        if self._names and name in self._names:
            granularity = bitmapreading.find(self._image.file, self._image.head, name).granularity
            return merged(united(self._read(name), _rounded(self._noted, granularity)), self._image.size)
        return bitmapreading.read(self._image.file, self._image.head, name)

    def suspend(self) -> list[tuple[Bitmap, list[Stretch]]]:
        """All bitmaps, each marked as in use until ``resume``: the disk's size changes. ImageError for a broken one."""
        found: list[tuple[Bitmap, list[Stretch]]] = []
        for bitmap in self.listed():
            if bitmap.broken:
                raise ImageError(
                    f"{self._image.file.name}: bitmap {bitmap.name} is broken and cannot follow the disk's size",
                    hint=f"virtkit disk bitmap --remove {self._image.file.name} {bitmap.name}",
                )
            found.append((bitmap, list(self.read(bitmap.name))))
        self._mark({bitmap.name for bitmap, _ in found})
        return found

    def resume(self, found: list[tuple[Bitmap, list[Stretch]]]) -> None:
        """They are for the disk as it is now; what is new of it was not written."""
        for bitmap, dirty in found:
            livebitmaps.store(self._image, bitmap, dirty)
        self._names, self._noted = None, []

    def _begin(self) -> None:
        self._names = {bitmap.name for bitmap in self._stored() if bitmap.enabled and not bitmap.broken}
        self._mark(self._names)

    def _mark(self, names: set[str]) -> None:
        if names:
            flags = {bitmap.name: bitmaps.AUTO if bitmap.enabled else 0 for bitmap in self._stored()}
            livebitmaps.set_flags(self._image, {name: flags[name] | bitmaps.IN_USE for name in names})

    def _stored(self) -> list[Bitmap]:
        return bitmapreading.listed(self._image.file, self._image.head)

    def _read(self, name: str) -> Iterator[Stretch]:
        """Although the image says that it is in use: it is in use here."""
        return bitmapreading.read(self._image.file, self._image.head, name, in_use=True)


def _joined(stretches: list[Stretch]) -> list[Stretch]:
    return list(united(sorted(stretches), ()))


def _rounded(stretches: list[Stretch], unit: int) -> list[Stretch]:
    return _joined([(round_down(start, unit), round_up(end, unit)) for start, end in stretches])
