"""What can be copied, compared and measured: a chain, several in a row, a part of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.chain import Layer
    from virtkit.disk.format import Extent


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
