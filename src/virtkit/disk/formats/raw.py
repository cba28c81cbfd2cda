"""raw: the guest's bytes and nothing else, in a file or on a block device.

There is no signature, so nothing is ever recognised as raw: a guest could write any signature into its own disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import KIB, MIB, SECTOR, format_size, round_up
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.format import Blank, Extent, Facts, Image, Kind, Measured, Option, Place, Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer


PREALLOCATIONS = ("off", "falloc", "full")
_ZEROS = bytes(MIB)


class RawImage:
    backing: Reference | None = None
    facts = Facts()

    def __init__(self, file: File) -> None:
        self.file = file
        self.files = (file,)
        self._end = file.size
        self.size = round_up(self._end, SECTOR)  # a disk has whole sectors; the rest of the last one is zeros

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        end = start + length
        for begin, stop in self.file.data(start, min(end, self._end)):
            if start < begin:
                yield self._zeros(start, begin)
            yield Extent(begin, stop - begin, Kind.DATA, self.file, begin)
            start = stop
        if start < end:
            yield self._zeros(start, end)

    def _zeros(self, start: int, end: int) -> Extent:
        return Extent(start, end - start, Kind.ZERO, self.file, start, preallocated=True)

    def close(self) -> None:
        self.file.close()


class LiveRaw(RawImage):
    unit = SECTOR

    def write(self, start: int, data: Buffer) -> None:
        self.file.write(start, data)
        self._end = max(self._end, start + len(data))

    def zero(self, start: int, length: int) -> None:
        self.file.zero(start, length)

    def discard(self, start: int, length: int) -> None:
        """On a device that cannot give room back, or would not promise zeros then, all stays as it is."""
        if self.file.is_device:
            self.file.punch(start, length)
        else:
            self.file.zero(start, length)

    def forget(self, start: int, length: int) -> None:
        self.file.zero(start, length)

    def resize(self, size: int) -> None:
        if self.file.is_device:
            _fit(self.file, size)
            raise NotSupportedError(f"{self.file.name}: is a block device, whose size virtkit does not change")
        self.file.resize(size)
        self.size = self._end = size

    def set_backing(self, backing: Reference | None, below: Image | None) -> None:
        if backing:
            raise NotSupportedError(f"{self.file.name}: a raw disk has no backing file")

    def flush(self) -> None:
        self.file.sync()


class RawWriter:
    unit = 4 * KIB  # the block of most file systems: smaller holes would save nothing

    def __init__(self, file: File, size: int, preallocation: str) -> None:
        self._file = file
        if file.is_device:
            _fit(file, size)
            file.zero(0, size)
            return
        file.resize(size)
        if size and preallocation != "off":
            file.allocate(0, size)
        if preallocation == "full":
            for at in range(0, size, len(_ZEROS)):
                file.write(at, _ZEROS[: size - at])

    def place(self, start: int, length: int) -> list[Place]:
        return [Place(self._file, start, length)]

    def blank(self, start: int, length: int) -> None:
        """A raw disk is on nothing: what is not placed reads as zeros."""

    def store(self, start: int, coded: Buffer) -> None:
        raise NotSupportedError("raw: cannot be compressed", hint="-O qcow2")

    def finish(self) -> None:
        """The data is all there is."""


def _fit(device: File, size: int) -> None:
    if device.size < size:
        raise UsageError(f"{device.name}: size is {format_size(device.size)}, expected at least {format_size(size)}")


def _preallocation(options: Mapping[str, str], file: File) -> str:
    chosen = options.get("preallocation", "off")
    if chosen not in PREALLOCATIONS:
        raise UsageError(f"raw: option preallocation is {chosen}, expected one of {', '.join(PREALLOCATIONS)}")
    if file.is_device and chosen != "off":
        raise UsageError(f"{file.name}: is a block device, which has all its room; expected preallocation=off")
    return chosen


class Raw:
    title = "Raw bytes"
    suffixes = (".raw", ".img")
    options = (Option("preallocation", "off: holes; falloc: room of the file system; full: zeros are written", "off"),)

    def probe(self, head: bytes) -> bool:
        return False

    def open(self, file: File, access: Access = READ_ONLY) -> RawImage:
        return LiveRaw(file) if access.writable else RawImage(file)

    def writer(self, file: File, blank: Blank) -> RawWriter:
        if blank.backing:
            raise UsageError("raw: a raw disk has no backing file", hint="-O qcow2")
        return RawWriter(file, blank.size, _preallocation(blank.options, file))

    def unit(self, options: Mapping[str, str]) -> int:
        return RawWriter.unit

    def measure(self, blank: Blank) -> Measured:
        return Measured(blank.size, blank.size)

    def encoder(self, level: str, options: Mapping[str, str]) -> Callable[[Buffer], bytes | None] | None:
        return None


FORMAT = Raw()
