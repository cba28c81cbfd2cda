"""What can be copied, compared and measured: a chain, several in a row, a part of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from virtkit.core.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.chain import Layer
    from virtkit.disk.format import Extent

LARGEST_UNIT = 2 * MIB  # bytes; of what is decoded or compressed as a whole: qcow2's clusters


class Source(Protocol):
    """A disk as ``Chain`` shows it."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def layers(self) -> Sequence[Layer]:
        """All images that take part."""
        ...

    def extents(self, start: int = 0, length: int | None = None) -> Iterator[Extent]:
        """As ``Image.extents``, with ``depth``; to the disk's end without ``length``."""
        ...


def largest_cluster(source: Source) -> int:
    """Bytes; no cluster should lie in two jobs, or it is decoded twice. What is larger yet holds plain data alone."""
    sizes = (layer.image.facts.cluster_size or 0 for layer in source.layers)
    return max((size for size in sizes if size <= LARGEST_UNIT), default=0)
