"""An open disk that is written in place: what the guest writes goes to the top image, the backing images stay."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import MIB, SECTOR, round_down, round_up
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import Chain, close, open_layers
from virtkit.disk.format import Extent, Kind, LiveImage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.chain import Layer
    from virtkit.disk.format import Buffer, Image, Stretch

_CLUSTER = 2 * MIB  # bytes; the largest that is moved for a part of it that is a unit
_STEP = 4 * MIB  # bytes of zeros written at once
_SILENT = (Kind.ZERO, Kind.HOLE)


class LiveChain(Chain):
    """A chain whose first layer is a LiveImage. Any thread may call any method; they take turns."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        top = layers[0].image
        if not isinstance(top, LiveImage):
            raise NotSupportedError(f"{self.name}: format {self.format} cannot be written in place")
        self._top = top
        self._below = layers[1].image.size if len(layers) > 1 else 0

    @property
    def top(self) -> LiveImage:
        """Whoever has it in hand may move what lies in it."""
        with self._turn:
            self._places.clear()
        return self._top

    def read(self, at: int, length: int) -> bytes:
        with self._turn:
            return super().read(at, length)

    def write(self, at: int, data: Buffer) -> None:
        """Any offset and length within the disk; UsageError beyond its end."""
        if not data:
            return
        self._require_within(at, len(data))
        with self._turn, self._moving(at, len(data)):
            start, whole = self._sectors(at, data)
            self._top.write(*self._units(start, whole))

    def zero(self, at: int, length: int) -> None:
        """The range reads as zeros from now on; whole units of it take no room where the format can say so."""
        self._require_within(at, length)
        with self._turn, self._moving(at, length):
            first, last = self._whole(at, length)
            if first >= last:
                self._zero_edge(at, at + length)
                return
            self._zero_edge(at, first)
            for start, end in self._noisy_units(first, last):
                self._top.zero(start, end - start)
            self._zero_edge(last, at + length)

    def discard(self, at: int, length: int) -> None:
        """The guest needs the range no more. Whole units of it read as zeros from now on, or as before."""
        self._require_within(at, length)
        with self._turn, self._moving(at, length):
            first, last = self._whole(at, length)
            if first < last:
                self._top.discard(first, last - first)

    def resize(self, size: int) -> None:
        """Bytes, a multiple of 512. A cut tail is lost; new room reads as zeros."""
        if size % SECTOR:
            raise UsageError(f"{self.name}: size is {size}, expected a multiple of {SECTOR} bytes")
        with self._turn, self._moving(0, max(size, self.size)):
            before = self.size
            self._top.resize(size)
            self.size = size
            if before < min(size, self._below):  # what the backing image has there was never this disk's
                self.zero(before, min(size, self._below) - before)

    def flush(self) -> None:
        """Return when everything written is on stable storage."""
        with self._turn:
            self._top.flush()

    def close(self) -> None:
        """Flushes. The files are closed whatever that says."""
        try:
            self.flush()
        finally:
            super().close()

    @contextmanager
    def _moving(self, at: int, length: int) -> Iterator[None]:
        """What is written may get another place, and all of its cluster with it: that is known no more afterwards."""
        largest = max(self._top.unit, _CLUSTER)
        try:
            yield
        finally:
            self._places.forget(round_down(at, largest), round_up(at + length, largest))

    def _require_within(self, at: int, length: int) -> None:
        if at < 0 or length < 0 or at + length > self.size:
            raise UsageError(f"{self.name}: range is {at} to {at + length}, expected within {self.size} bytes")

    def _whole(self, at: int, length: int) -> tuple[int, int]:
        """The whole units in a range; the disk's end ends one."""
        end = at + length
        last = end if end == self.size else round_down(end, self._top.unit)
        return round_up(at, self._top.unit), last

    def _sectors(self, at: int, data: Buffer) -> tuple[int, Buffer]:
        start, end = round_down(at, SECTOR), round_up(at + len(data), SECTOR)
        if (start, end) == (at, at + len(data)):
            return at, data
        head, tail = super().read(start, at - start), super().read(at + len(data), end - at - len(data))
        return start, b"".join((head, data, tail))

    def _units(self, start: int, data: Buffer) -> tuple[int, Buffer]:
        """With what the backing image has around, where the range begins or ends within a hole above it."""
        end = start + len(data)
        first, last = round_down(start, self._top.unit), min(round_up(end, self._top.unit), self.size)
        head = super().read(first, start - first) if first < start and self._falls_through(start) else b""
        tail = super().read(end, last - end) if end < last and self._falls_through(end - SECTOR) else b""
        return start - len(head), b"".join((head, data, tail)) if head or tail else data

    def _falls_through(self, at: int) -> bool:
        if round_down(at, self._top.unit) >= self._below:
            return False
        return next(self._top.extents(at, SECTOR)).kind is Kind.HOLE

    def _zero_edge(self, start: int, end: int) -> None:
        """Part of a unit: zeros are written where the disk does not read as zeros anyway."""
        for extent in self._noisy(start, end):
            for at in range(extent.start, extent.end, _STEP):
                self.write(at, bytes(min(_STEP, extent.end - at)))

    def _noisy_units(self, first: int, last: int) -> list[Stretch]:
        """The whole units within that do not read as zeros anyway, neighbours joined."""
        found: list[Stretch] = []
        for extent in self._noisy(first, last):
            start, end = round_down(extent.start, self._top.unit), min(round_up(extent.end, self._top.unit), last)
            if found and start <= found[-1][1]:
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return found

    def _noisy(self, start: int, end: int) -> Iterator[Extent]:
        if start < end:
            yield from [extent for extent in self.extents(start, end - start) if extent.kind not in _SILENT]


def settled(image: Image | Chain, start: int, end: int, most: int = 1024) -> Iterator[Extent]:
    """``extents`` of [start, end), ``most`` looked up at a time.

    Meanwhile the image may be changed up to the end of the one in hand, as long as it goes on reading the same.
    """
    while start < end:
        batch = list(islice(image.extents(start, end - start), most))
        yield from batch
        start = batch[-1].end


def open_live(path: str, source_format: str | None = None, access: Access = READ_ONLY) -> LiveChain:
    """The image at ``path`` for writing, on everything that it names and may open; see ``disk.open``."""
    layers = open_layers(path, source_format, access._replace(writable=True))
    try:
        return LiveChain(layers)
    except BaseException:
        close(layers)
        raise
