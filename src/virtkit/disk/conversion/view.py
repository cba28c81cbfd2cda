"""A disk as an internal snapshot keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError, NotSupportedError, UsageError
from virtkit.disk.chain import Chain
from virtkit.disk.format import SnapshotImage

if TYPE_CHECKING:
    from virtkit.disk.format import Image, Snapshot

_ID, _NAME = "snapshot.id", "snapshot.name"


def at(chain: Chain, wanted: str) -> Chain:
    """``wanted`` is an id, a name, or qemu-img's ``snapshot.id=ID,snapshot.name=NAME``.

    It is closed by closing ``chain``. NotFoundError, NotSupportedError.
    """
    top = chain.layers[0]
    image = require(top.image, top.format)
    return Chain([top._replace(image=image.view(find(image, wanted).id)), *chain.layers[1:]])


def require(image: Image, format_: str) -> SnapshotImage:
    if not isinstance(image, SnapshotImage):
        raise NotSupportedError(f"{image.file.name}: format {format_} has no internal snapshots")
    return image


def find(image: SnapshotImage, wanted: str) -> Snapshot:
    """As qemu-img: where a word is the id of one and the name of another, the id wins."""
    snapshots = image.snapshots()
    if wanted.startswith(("snapshot.id=", "snapshot.name=")):
        keys = _keys(wanted)
        found = [one for one in snapshots if keys.get(_ID, one.id) == one.id and keys.get(_NAME, one.name) == one.name]
    else:
        found = [one for one in snapshots if one.id == wanted] or [one for one in snapshots if one.name == wanted]
    if not found:
        names = ", ".join(f"{one.name} ({one.id})" for one in snapshots) or "it has none"
        raise NotFoundError(f"{image.file.name}: snapshot is {wanted}, expected one of its own: {names}")
    return found[0]


def _keys(wanted: str) -> dict[str, str]:
    pairs = dict(pair.partition("=")[::2] for pair in wanted.split(","))
    if unknown := pairs.keys() - {_ID, _NAME}:
        raise UsageError(f"-l: key is {', '.join(sorted(unknown))}, expected {_ID} or {_NAME}")
    return pairs
