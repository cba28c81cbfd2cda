"""Dirty bitmaps of a source, kept by its new image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError, NotSupportedError
from virtkit.disk import abilities
from virtkit.disk.format import BitmapImage, LiveBitmapImage

if TYPE_CHECKING:
    from virtkit.disk.conversion.order import Order
    from virtkit.disk.copying.source import Source
    from virtkit.disk.format import Bitmap, Image, WritableFormat


def check(source: Source, kind: WritableFormat, wanted: Order) -> None:
    """NotSupportedError where a format keeps no bitmaps; ImageError for broken ones that shall not be skipped."""
    sound, broken = _told(source)
    if broken and not wanted.skip_broken:
        raise ImageError(
            f"{source.name}: bitmap {broken[0]} is broken: its machine died while it was recording",
            hint="--skip-broken-bitmaps",
        )
    if sound and not abilities.of(kind).bitmaps:
        raise NotSupportedError(f"{wanted.format}: images of this format keep no bitmaps", hint="-O qcow2")


def carry(source: Source, target: Image) -> tuple[str, ...]:
    """Store all that are sound; returns the names of the broken ones."""
    image = _keeper(source)
    sound, broken = _told(source)
    if isinstance(target, LiveBitmapImage):
        for bitmap in sound:
            target.store_bitmap(bitmap, image.read_bitmap(bitmap.name))
    elif sound:
        raise NotSupportedError(f"{target.file.name}: keeps no bitmaps")
    return tuple(broken)


def _keeper(source: Source) -> BitmapImage:
    image = source.layers[0].image
    if not isinstance(image, BitmapImage):
        raise NotSupportedError(f"{source.name}: keeps no bitmaps")
    return image


def _told(source: Source) -> tuple[list[Bitmap], list[str]]:
    bitmaps = _keeper(source).bitmaps()
    return [one for one in bitmaps if not one.broken], [one.name for one in bitmaps if one.broken]
