"""Parts in a row that are written in place, and the descriptor that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import SECTOR
from virtkit.disk.formats.vmdk import renewal
from virtkit.disk.formats.vmdk.image import VmdkImage
from virtkit.disk.formats.vmdk.liveflat import LiveFlat, LiveZero
from virtkit.disk.formats.vmdk.livesparse import LiveSparse
from virtkit.disk.formats.vmdk.opening import HINT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.access import Access
    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer
    from virtkit.disk.formats.vmdk.descriptor import Descriptor
    from virtkit.disk.formats.vmdk.part import Part

    LivePart = LiveSparse | LiveFlat | LiveZero


class LiveRow(VmdkImage):
    """Everything that does not change which parts there are."""

    def __init__(self, file: File, described: Descriptor, parts: Sequence[Part], access: Access) -> None:
        """NotSupportedError where a part can only be read."""
        super().__init__(file, described, parts, access)
        self._changed = False  # whether the content id is a new one
        self.live = [self._writable(part) for part in self.parts]
        self.unit = max([SECTOR, *(part.grain for part in self.parts)])
        if any(start % self.unit for start in self.starts):
            raise NotSupportedError(
                f"{file.name}: extents begin within a grain, expected multiples of {self.unit} bytes",
                hint=HINT.format(file.name),
            )
        self.tell_parts()

    def _writable(self, part: Part) -> LivePart:
        if isinstance(part, LiveSparse | LiveFlat | LiveZero):
            return part
        raise NotSupportedError(
            f"{self.file.name}: {part.kind or 'compressed'} extents can only be read", hint=HINT.format(self.file.name)
        )

    def write(self, start: int, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        self.touch()
        for part, at, first, last in self._cut(start, len(view)):
            part.write(at, view[first:last])

    def zero(self, start: int, length: int) -> None:
        self.touch()
        for part, at, first, last in self._cut(start, length):
            part.zero(at, last - first)

    def discard(self, start: int, length: int) -> None:
        self.touch()
        for part, at, first, last in self._cut(start, length):
            part.discard(at, last - first)

    def forget(self, start: int, length: int) -> None:
        self.touch()
        for part, at, first, last in self._cut(start, length):
            part.forget(at, last - first)

    def flush(self) -> None:
        for part in self.live:
            part.flush()
        self.file.sync()

    def close(self) -> None:
        for part in self.live:
            part.end()
        super().close()

    def rearrange(self, parts: Sequence[LivePart]) -> None:
        """The disk is ``parts`` from now on."""
        self.live = list(parts)
        self.arrange(parts)
        self.tell_parts()

    def describe(self, described: str) -> None:
        self.descriptor = renewal.store(self.file, self.descriptor, described)

    def touch(self) -> None:
        """Who stands on this image, or keeps changes against it, must see that the content is another."""
        if not self._changed:
            self.describe(renewal.with_new_cid(self.descriptor))
            self._changed = True

    def tell_parts(self) -> None:
        for part in self.live:
            if isinstance(part, LiveSparse):
                part.parental = self.stands_on_parent

    def _cut(self, start: int, length: int) -> Iterator[tuple[LivePart, int, int, int]]:
        """(part, byte in it, first and last byte of the range that go there)."""
        end = start + length
        for number in range(self.part_at(start), len(self.live)):
            part, base = self.live[number], self.starts[number]
            first, last = max(start, base), min(end, base + part.size)
            if first < last:
                yield part, first - base, first - start, last - start
