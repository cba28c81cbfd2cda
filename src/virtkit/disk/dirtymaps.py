"""Dirty bitmaps of an image: made, removed, cleared, switched on and off, merged, as ``qemu-img bitmap`` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import ImageError, NotFoundError, NotSupportedError, UsageError
from virtkit.core.units import KIB
from virtkit.disk import chain
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.format import Bitmap, BitmapImage, LiveBitmapImage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.disk.format import Image, Stretch

_LEAST_GRANULARITY = 4 * KIB  # bytes; where the user says none, a cluster, but not less than this
VERBS = ("add", "remove", "clear", "enable", "disable", "merge")


class Step(NamedTuple):
    """One of VERBS; ``source`` is the name of the bitmap that is merged."""

    verb: str
    source: str = ""


def edit_bitmap(
    path: str,
    name: str,
    steps: Sequence[Step],
    *,
    granularity: int | None = None,
    source_format: str | None = None,
    other: tuple[str, str | None] | None = None,
    access: Access = READ_ONLY,
) -> list[Bitmap]:
    """Do the ``steps`` to the bitmap ``name``, one after the other; returns all bitmaps that the image has then.

    ``granularity``: bytes, for ``add``. ``other``: path and format of the image that holds what is merged.
    NotFoundError, UsageError where the name is taken, ImageError for a broken bitmap (which can only be removed),
    NotSupportedError where the format keeps no bitmaps.
    """
    layer = chain.open_image(path, source_format, access._replace(writable=True))
    try:
        image = layer.image
        if not isinstance(image, LiveBitmapImage):
            raise NotSupportedError(f"{path}: images of format {layer.format} keep no bitmaps")
        for step in steps:
            if step.verb == "merge" and other:
                _merge_from(image, name, step.source, other, access)
            else:
                _do(image, name, step, granularity)
        image.flush()
        return image.bitmaps()
    finally:
        layer.image.close()


def _do(image: LiveBitmapImage, name: str, step: Step, granularity: int | None) -> None:
    if step.verb == "add":
        _add(image, name, granularity)
    elif step.verb == "remove":
        image.delete_bitmap(name)
    elif step.verb == "clear":
        image.store_bitmap(_sound(image, name), ())
    elif step.verb in {"enable", "disable"}:
        found, kept = _sound(image, name), list(image.read_bitmap(name))
        image.store_bitmap(found._replace(enabled=step.verb == "enable"), kept)
    elif step.verb == "merge":
        _merge(image, name, image, step.source)
    else:
        raise UsageError(f"bitmap: step is {step.verb}, expected one of {', '.join(VERBS)}")


def _add(image: LiveBitmapImage, name: str, granularity: int | None) -> None:
    if any(bitmap.name == name for bitmap in image.bitmaps()):
        raise UsageError(f"{image.file.name}: bitmap {name} exists already")
    default = max(_LEAST_GRANULARITY, image.facts.cluster_size or 0)
    image.store_bitmap(Bitmap(name, granularity or default), ())


def _merge_from(image: LiveBitmapImage, name: str, source: str, other: tuple[str, str | None], access: Access) -> None:
    layer = chain.open_image(*other, access._replace(writable=False))
    try:
        _merge(image, name, layer.image, source)
    finally:
        layer.image.close()


def _merge(image: LiveBitmapImage, name: str, holder: Image, source: str) -> None:
    target = _sound(image, name)
    if not isinstance(holder, BitmapImage):
        raise NotSupportedError(f"{holder.file.name}: keeps no bitmaps")
    _sound(holder, source)
    if holder.size != image.size:
        raise UsageError(f"{holder.file.name}: size is {holder.size}, expected {image.size} to merge its bitmaps")
    image.store_bitmap(target, _united(image, name, holder, source))


def _united(image: LiveBitmapImage, name: str, holder: BitmapImage, source: str) -> list[Stretch]:
    """Read whole before anything is stored: what is read may be what is replaced."""
    united: list[Stretch] = []
    for start, end in sorted([*image.read_bitmap(name), *holder.read_bitmap(source)]):
        if united and start <= united[-1][1]:
            united[-1] = united[-1][0], max(end, united[-1][1])
        else:
            united.append((start, end))
    return united


def _sound(image: BitmapImage, name: str) -> Bitmap:
    found = {bitmap.name: bitmap for bitmap in image.bitmaps()}
    if name not in found:
        raise NotFoundError(f"{image.file.name}: has no bitmap {name}", hint=f"virtkit disk info {image.file.name}")
    if found[name].broken:
        raise ImageError(
            f"{image.file.name}: bitmap {name} is broken: its machine died while it was recording",
            hint=f"virtkit disk bitmap --remove {image.file.name} {name}",
        )
    return found[name]
