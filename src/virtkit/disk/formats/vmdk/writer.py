"""A new VMDK: one file or several, each laid out for itself, and the descriptor that makes them one disk."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import SECTOR, divide_up
from virtkit.disk.formats.vmdk import text
from virtkit.disk.formats.vmdk.descriptor import MAX_SIZE, Line
from virtkit.disk.formats.vmdk.image import VmdkImage
from virtkit.disk.formats.vmdk.layouts import FlatLayout, SparseLayout
from virtkit.disk.formats.vmdk.options import MONOLITHIC_SPARSE, Options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer, Place

PART = 4_192_256 * SECTOR  # bytes of the disk in one file: with its tables it stays below 2 GiB, as VMware's do
_OTHERS = 64  # files that a process has open besides


class VmdkWriter:
    def __init__(self, file: File, blank: Blank) -> None:
        """UsageError."""
        self._file = file
        self._size = blank.size
        self._chosen = Options(blank.options)
        self._parent = parent_of(blank)
        if self._parent and self._chosen.flat:
            raise UsageError(
                f"vmdk: {self._chosen.subformat} cannot have a backing file", hint="-o subformat=monolithicSparse"
            )
        if not blank.size and self._chosen.subformat != MONOLITHIC_SPARSE:
            raise UsageError(f"vmdk: disk size is 0 with {self._chosen.subformat}, expected monolithicSparse")
        self._lock = threading.Lock()
        self._layouts = self._lay_out(blank)
        self.unit = self._layouts[0].unit

    def _lay_out(self, blank: Blank) -> list[SparseLayout | FlatLayout]:
        chosen = self._chosen
        if chosen.subformat == MONOLITHIC_SPARSE:
            return [SparseLayout(self._file, blank.size, zeroed=chosen.zeroed, embedded=True)]
        layouts: list[SparseLayout | FlatLayout] = []
        named = parts(os.path.basename(self._file.name), blank.size, chosen)
        _keep_count(len(named), chosen)
        for name, size in named:
            file = blank.create(name)
            if chosen.flat:
                layouts.append(FlatLayout(file, size))
            else:
                layouts.append(SparseLayout(file, size, zeroed=chosen.zeroed, embedded=False))
        return layouts

    def place(self, start: int, length: int) -> list[Place]:
        with self._lock:
            return [layout.place(at, size) for layout, at, size in self._cut(start, length)]

    def blank(self, start: int, length: int) -> None:
        with self._lock:
            for layout, at, size in self._cut(start, length):
                layout.blank(at, size)

    def store(self, start: int, coded: Buffer) -> None:
        raise NotSupportedError(
            f"vmdk: {self._chosen.subformat} cannot be compressed", hint="-o subformat=streamOptimized"
        )

    def finish(self) -> None:
        described = text.render(
            self._chosen, self._size, [self._line(layout) for layout in self._layouts], self._parent
        )
        if len(described) > MAX_SIZE:
            raise UsageError(f"vmdk: {len(self._layouts)} files are too many", hint="-o subformat=monolithicSparse")
        for layout in self._layouts:
            layout.finish(described)
        if self._layouts[0].file is not self._file:
            self._file.write(0, described)

    def _line(self, layout: SparseLayout | FlatLayout) -> Line:
        name, sectors = os.path.basename(layout.file.name), layout.size // SECTOR
        if isinstance(layout, FlatLayout):
            return Line("RW", sectors, "FLAT", name, 0)
        return Line("RW", sectors, "SPARSE", name)

    def _cut(self, start: int, length: int) -> Iterator[tuple[SparseLayout | FlatLayout, int, int]]:
        """What of the range lies in which file, and where there."""
        end, each = start + length, self._layouts[0].size
        while start < end:
            index, at = divmod(start, each)
            size = min(end - start, each - at)
            yield self._layouts[index], at, size
            start += size


def _keep_count(files: int, chosen: Options) -> None:
    """All of them are open until they are whole."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHERS
    if files > most:
        raise UsageError(
            f"vmdk: {chosen.subformat} would be {files} files, expected at most {most}",
            hint=f"ulimit -n {files + _OTHERS}; or -o subformat={MONOLITHIC_SPARSE}",
        )


def parts(name: str, size: int, chosen: Options) -> list[tuple[str, int]]:
    """The files beside the descriptor ``name`` and how many bytes of the disk each holds, named as VMware does."""
    stem, suffix = os.path.splitext(name)
    if not chosen.split:
        return [(f"{stem}-flat{suffix}", size)]
    letter = "f" if chosen.flat else "s"
    return [
        (f"{stem}-{letter}{number + 1:03d}{suffix}", min(PART, size - number * PART))
        for number in range(divide_up(size, PART))
    ]


def parent_of(blank: Blank) -> tuple[str, int] | None:
    """Name and content id of the backing image; UsageError where it is no VMDK."""
    if not blank.backing:
        return None
    if not isinstance(blank.below, VmdkImage):
        raise UsageError(
            f"vmdk: backing file {blank.backing.name} is no VMDK that could be opened, expected one: "
            "the new image keeps its content id",
            hint=f"virtkit disk convert -O vmdk {blank.backing.name} base.vmdk",
        )
    return blank.backing.name, blank.below.descriptor.cid
