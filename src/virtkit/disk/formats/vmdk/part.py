"""A VMDK is one or more extents in a row. Each is a Part here, so that it is not taken for a stretch of the map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Extent


class Part(Protocol):
    """Positions are bytes of this part."""

    @property
    def kind(self) -> str:
        """As the descriptor's line says it; "" where the whole image is one file."""
        ...

    @property
    def size(self) -> int: ...

    @property
    def file(self) -> File | None: ...

    @property
    def grain(self) -> int:
        """Bytes; 0 where there is nothing but data."""
        ...

    @property
    def compressed(self) -> bool: ...

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        """As ``Image.extents``; neighbours need not be merged."""
        ...
