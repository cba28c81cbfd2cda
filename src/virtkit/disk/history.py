"""Internal snapshots: earlier states of a disk that an image keeps in itself."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import open_image
from virtkit.disk.conversion import view
from virtkit.disk.format import Kind, LiveSnapshotImage, Snapshot, SnapshotImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.format import Image, Stretch

_MOST = 200_000  # stretches looked at to tell what a deletion would free


def snapshots(path: str, source_format: str | None = None, access: Access = READ_ONLY) -> list[Snapshot]:
    """In the order of the image. NotSupportedError where its format keeps none."""
    with _reading(path, source_format, access) as image:
        return image.snapshots()


def create_snapshot(
    path: str, name: str, source_format: str | None = None, access: Access = READ_ONLY, *, dry_run: bool = False
) -> Snapshot:
    """Keep the disk as it is now under ``name``; returns it as it is stored, with its id. UsageError: name is taken."""
    if not name:
        raise UsageError("a snapshot needs a name")
    if dry_run:
        with _reading(path, source_format, access) as image:
            if any(one.name == name for one in image.snapshots()):
                raise UsageError(f"{path}: snapshot {name} is there already", hint="another name")
            return Snapshot("", name, image.size, date=time.time())
    with _writing(path, source_format, access) as live:
        made = live.create_snapshot(Snapshot("", name, live.size, date=time.time()))
        live.flush()
        return made


def apply_snapshot(path: str, name: str, source_format: str | None = None, access: Access = READ_ONLY) -> Snapshot:
    """The disk is again as it was then, its size too; what was written since is lost. NotFoundError.

    ``name`` is an id or a name; the id wins. The snapshot stays.
    """
    with _writing(path, source_format, access) as live:
        found = view.find(live, name)
        live.apply_snapshot(found.id)
        live.flush()
        return found


def delete_snapshot(path: str, name: str, source_format: str | None = None, access: Access = READ_ONLY) -> Snapshot:
    """Forget one; the disk and the other snapshots stay as they are. ``name`` as for ``apply_snapshot``."""
    with _writing(path, source_format, access) as live:
        found = view.find(live, name)
        live.delete_snapshot(found.id)
        live.flush()
        return found


def find_snapshot(path: str, name: str, source_format: str | None = None, access: Access = READ_ONLY) -> Snapshot:
    """The one that ``name`` means. NotFoundError names those that there are."""
    with _reading(path, source_format, access) as image:
        return view.find(image, name)


def freed_by_deleting(path: str, name: str, source_format: str | None = None, access: Access = READ_ONLY) -> int | None:
    """Bytes of data in the file that this snapshot alone uses; None where the image is too scattered to tell soon."""
    with _reading(path, source_format, access) as image:
        wanted = view.find(image, name)
        others = [image.view(one.id) for one in image.snapshots() if one.id != wanted.id]
        alone = _places(image.view(wanted.id))
        shared: list[Stretch] = []
        for other in (image, *others):
            shared += _places(other)
            if len(alone) + len(shared) > _MOST:
                return None
        return sum(end - start for start, end in alone) - _common(sorted(alone), sorted(shared))


def _places(image: Image) -> list[Stretch]:
    """Where in the file the data is, cut off after _MOST + 1."""
    found: list[Stretch] = []
    for extent in image.extents(0, image.size):
        if extent.kind in (Kind.DATA, Kind.CODED) or extent.preallocated:
            found.append((extent.at, extent.at + (extent.stored or extent.length)))
            if len(found) > _MOST:
                break
    return found


def _common(some: Iterable[Stretch], others: Iterable[Stretch]) -> int:
    """Bytes that are in both; each is sorted. ``others`` may overlap each other."""
    common, rest = 0, iter(_joined(others))
    start, end = next(rest, (0, 0))
    for at, stop in some:
        while end <= at and end:
            start, end = next(rest, (0, 0))
        low = at
        while end and start < stop:
            common += max(min(end, stop) - max(start, low), 0)
            if end > stop:
                break
            low = end
            start, end = next(rest, (0, 0))
    return common


def _joined(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    waiting: Stretch | None = None
    for start, end in stretches:
        if waiting and start <= waiting[1]:
            waiting = waiting[0], max(end, waiting[1])
            continue
        if waiting:
            yield waiting
        waiting = start, end
    if waiting:
        yield waiting


@contextmanager
def _reading(path: str, source_format: str | None, access: Access) -> Iterator[SnapshotImage]:
    """Also while a machine has it: nothing is changed, and a list may be a moment old."""
    layer = open_image(path, source_format, access._replace(shared=True))
    try:
        yield view.require(layer.image, layer.format)
    finally:
        layer.image.close()


@contextmanager
def _writing(path: str, source_format: str | None, access: Access) -> Iterator[LiveSnapshotImage]:
    layer = open_image(path, source_format, access._replace(writable=True))
    try:
        view.require(layer.image, layer.format)
        if not isinstance(layer.image, LiveSnapshotImage):
            raise NotSupportedError(f"{path}: snapshots of this {layer.format} image can only be read")
        yield layer.image
    finally:
        layer.image.close()
