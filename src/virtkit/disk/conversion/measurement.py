"""How long the file of a new image will become."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.core.units import SECTOR, round_down, round_up
from virtkit.disk import catalog
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.conversion import order, origin, writing
from virtkit.disk.conversion.origin import Origin
from virtkit.disk.format import BitmapImage, Blank, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import NoReturn

    from virtkit.disk.copying.source import Source
    from virtkit.disk.format import Bitmap, Extent, Measured


def measure(
    source: str | None = None,
    *,
    size: int = 0,
    target_format: str = "raw",
    options: Mapping[str, str] | None = None,
    source_format: str | None = None,
    snapshot: str | None = None,
    access: Access = READ_ONLY,
) -> Measured:
    """How many bytes the file of an image of ``target_format`` takes that is made from ``source``.

    Without ``source``: of an empty disk of ``size`` bytes. UsageError, NotSupportedError as ``convert``'s.
    """
    if source is None:
        return _measure(None, size, target_format, options or {})
    with origin.opened(Origin((source,), source_format, access, snapshot)) as found:
        return _measure(found, found.size, target_format, options or {})


def _measure(source: Source | None, size: int, format_: str, options: Mapping[str, str]) -> Measured:
    """Of an image made from ``source``; without one of an empty disk of ``size`` bytes.

    On a backing image all that ``source`` has is counted, for nothing is known of what the two have in common.
    """
    kind = catalog.load_writable(format_)
    own = order.without_backing(options)
    catalog.require_options(format_, kind, own)
    size = round_up(source.size if source else size, SECTOR)
    unit = writing.unit_of(kind, own)
    if source is None:
        data = 0
    elif "backing_file" in options:
        data = round_up(size, unit)
    else:
        data = placed(source.extents(), unit)
    return kind.measure(Blank(size, data, own, _no_other_file, bitmaps=_bitmaps(source)))


def placed(extents: Iterable[Extent], unit: int) -> int:
    """Bytes of the whole units that hold data."""
    total = reached = 0
    for extent in extents:
        if extent.kind in {Kind.DATA, Kind.CODED}:
            start, end = max(round_down(extent.start, unit), reached), round_up(extent.end, unit)
            total += max(end - start, 0)
            reached = max(reached, end)
    return total


def _bitmaps(source: Source | None) -> tuple[Bitmap, ...] | None:
    if source is None:
        return None
    image = source.layers[0].image
    return tuple(image.bitmaps()) if isinstance(image, BitmapImage) else None


def _no_other_file(name: str) -> NoReturn:
    raise UsageError(f"{name}: nothing is made where a size is asked for")
