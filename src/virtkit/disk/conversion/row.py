"""Disks put together anew: several behind each other, or a stretch of one. Nothing is copied for that."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from virtkit.disk.chain import Chain, open_chain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from virtkit.disk.access import Access
    from virtkit.disk.chain import Layer
    from virtkit.disk.copying.source import Source
    from virtkit.disk.format import Buffer, Decode, Extent


def moved(extent: Extent, by: int) -> Extent:
    """The same bytes ``by`` bytes further back in the disk; what decodes them goes on seeing the old place."""
    decode = partial(_decode, extent.decode, by) if extent.decode else None
    return extent._replace(start=extent.start + by, decode=decode)


def _decode(decode: Decode, by: int, extent: Extent, stored: Buffer) -> Buffer:
    """Encrypted bytes may depend on where in the disk they are."""
    return decode(extent._replace(start=extent.start - by), stored)


class Row:
    """Several disks, one behind the other, as one. Closing it closes them."""

    def __init__(self, chains: Sequence[Chain]) -> None:
        self.chains = tuple(chains)
        self.size = sum(chain.size for chain in chains)
        self.layers: tuple[Layer, ...] = tuple(layer for chain in chains for layer in chain.layers)

    @property
    def name(self) -> str:
        return ", ".join(chain.name for chain in self.chains)

    def extents(self, start: int = 0, length: int | None = None) -> Iterator[Extent]:
        end = self.size if length is None else start + length
        begin = 0
        for chain in self.chains:
            first, last = max(start, begin), min(end, begin + chain.size)
            if first < last:
                for extent in chain.extents(first - begin, last - first):
                    yield moved(extent, begin) if begin else extent
            begin += chain.size

    def close(self) -> None:
        for chain in self.chains:
            chain.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Part:
    """The bytes [start, end) of a disk as a disk of their own."""

    def __init__(self, whole: Source, start: int, end: int) -> None:
        self.name = whole.name
        self.size = end - start
        self.layers = whole.layers
        self._whole = whole
        self._start = start

    def extents(self, start: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.size - start if length is None else length
        for extent in self._whole.extents(self._start + start, length):
            yield moved(extent, -self._start)


def open_row(paths: Sequence[str], source_format: str | None, access: Access) -> Row:
    """All of ``paths`` opened in the same manner; see ``disk.open``."""
    chains: list[Chain] = []
    try:
        for path in paths:
            chains.append(open_chain(path, source_format, access))  # noqa: PERF401  what is open is closed on errors
    except BaseException:
        for chain in chains:
            chain.close()
        raise
    return Row(chains)
