"""A disk that is read here and there: where its data is, is looked up once for a stretch and remembered."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, TypeAlias

from virtkit.core.units import MIB
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import Chain, open_layers
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.disk.chain import Layer

_REGION = 2 * MIB  # bytes of the disk that are looked up at once
_MOST = 1 << 15  # extents that are remembered; a few MiB

_Region: TypeAlias = tuple[list[int], list[Extent]]


class SteadyChain(Chain):
    """A chain that nobody writes to meanwhile, as the locks on its files see to.

    Only reads of DATA rely on that: what was a hole of a file or compressed is looked up anew each time.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__(layers)
        self._regions: dict[int, _Region] = {}
        self._kept = 0  # extents in ``_regions``

    def read(self, at: int, length: int) -> bytes:
        starts, extents = self._regions.get(at // _REGION) or self._look(at // _REGION)
        number = bisect_right(starts, at) - 1
        if number >= 0:
            extent = extents[number]
            if extent.kind is Kind.DATA and extent.file and 0 < length <= extent.start + extent.length - at:
                data = extent.file.read(extent.at + at - extent.start, length)
                if len(data) == length:
                    return data
        return super().read(at, length)

    def _look(self, number: int) -> _Region:
        """Where the bytes of a region are; nothing where the disk has none such."""
        start = number * _REGION
        length = min(_REGION, self.size - start) if start >= 0 else 0
        extents = self.first_extents(start, length) if length > 0 else []
        region = ([extent.start for extent in extents], extents)
        with self._turn:
            if self._kept > _MOST:
                self._regions.clear()
                self._kept = 0
            self._regions[number] = region
            self._kept += len(extents) + 1
        return region


def open_steady(path: str, source_format: str | None = None, access: Access = READ_ONLY) -> Chain:
    """The image at ``path`` on everything that it names; a plain Chain where others may write to it."""
    layers = open_layers(path, source_format, access)
    return Chain(layers) if access.shared else SteadyChain(layers)
