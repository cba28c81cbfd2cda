"""What an image holds above one of its backing images, written into that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError
from virtkit.core.progress import Advanced, Finished, Sink, Started, silent
from virtkit.core.units import MIB
from virtkit.disk import pieces
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import Chain, close, open_layers
from virtkit.disk.creation import beside
from virtkit.disk.format import Heir, Kind, LiveImage
from virtkit.disk.live import LiveChain
from virtkit.disk.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.chain import Layer
    from virtkit.disk.format import Extent

_STEP = 4 * MIB  # bytes moved at once
_STORED = (Kind.DATA, Kind.CODED)


class Committed(NamedTuple):
    """Numbers in bytes."""

    base: str
    moved: int  # data that was, or would be, written into the base
    zeroed: int
    grown_from: int | None  # the base's size before, where it became longer
    emptied: bool


class _Task(NamedTuple):
    layers: list[Layer]
    depth: int  # of the base

    @property
    def above(self) -> Chain:
        return Chain(self.layers[: self.depth])

    @property
    def base(self) -> Layer:
        return self.layers[self.depth]


def commit(
    path: str,
    base: str | None = None,
    *,
    drop: bool = False,
    force: bool = False,
    rate: int = 0,
    dry_run: bool = False,
    source_format: str | None = None,
    access: Access = READ_ONLY,
    report: Sink = silent,
) -> Committed:
    """Write what ``path`` holds above ``base`` into ``base``, then empty ``path``.

    ``base`` None: its own backing image. A deeper one takes what the layers between hold too; those are worth nothing
    afterwards, ``path`` is left as it is. ``drop``: it is not emptied, because it will be deleted.
    The base becomes as long as the image if it was shorter. ``rate``: bytes a second. ``force``: although the
    backing image is not as it was when the image was made on it, as after a commit that was broken off.

    Killed at any moment, ``path`` reads as before; running it again finishes. NotFoundError where ``base`` is not
    below; NotSupportedError where the base, or an image that shall be emptied, cannot be written in place.
    """
    pace = Pace(rate)
    looking = access._replace(writable=False, shared=access.shared or dry_run)
    layers = open_layers(path, source_format, looking, trust_heirs=force)
    try:
        task = _Task(layers, _depth(path, layers, base))
        keep = drop or base is not None
        answer = _measured(task, emptied=not keep)
    finally:
        close(layers)
    if dry_run:
        return answer
    child = task.depth - 1
    written = {task.depth, *(() if keep else (0,)), *((child,) if isinstance(layers[child].image, Heir) else ())}
    layers = open_layers(path, source_format, access._replace(writable=True), writable=written, trust_heirs=force)
    try:
        task = _Task(layers, task.depth)
        _commit(task, pace, report)
        _settle(task, keep=keep)
    finally:
        close(layers)
    return answer


def _depth(path: str, layers: list[Layer], base: str | None) -> int:
    if len(layers) == 1:
        raise NotFoundError(f"{path}: has no backing file to commit into", hint=f"virtkit disk info {path}")
    if base is None:
        return 1
    names = [name for name in (base, beside(path, base)) if os.path.exists(name)]
    for depth, layer in enumerate(layers[1:], 1):
        if layer.image.file.name == base or any(os.path.samefile(layer.image.file.name, name) for name in names):
            return depth
    below = ", ".join(layer.image.file.name for layer in layers[1:])
    raise NotFoundError(f"{path}: base is {base}, expected one of its backing files: {below}")


def _measured(task: _Task, *, emptied: bool) -> Committed:
    moved = zeroed = 0
    for extent in _own(task):
        moved += extent.length if extent.kind in _STORED else 0
        zeroed += extent.length if extent.kind not in _STORED else 0
    size = task.base.image.size
    return Committed(task.base.image.file.name, moved, zeroed, size if size < task.above.size else None, emptied)


def _own(task: _Task) -> Iterator[Extent]:
    """What the base has to take: all but the holes that it answered for. A layer that is too short hides it too."""
    for extent in pieces.hollowed(task.above.extents()):
        if extent.kind is not Kind.HOLE or extent.depth < task.depth - 1:
            yield extent


def _commit(task: _Task, pace: Pace, report: Sink) -> None:
    """The layers above hide every byte that changes: they read alike before, meanwhile and afterwards."""
    above, base = task.above, LiveChain(task.layers[task.depth :])
    step = f"commit {above.name}"
    report(Started(step, above.size))
    if base.size < above.size:
        base.resize(above.size)
    for extent in pieces.cut(_own(task), _STEP):
        if extent.kind in _STORED:
            base.write(extent.start, above.read(extent.start, extent.length))
            pace.count(extent.length)
        else:
            base.zero(extent.start, extent.length)
        report(Advanced(step, extent.end))
    base.flush()
    report(Finished(step))


def _settle(task: _Task, *, keep: bool) -> None:
    """The base is on stable storage; now its child may know its new state, and the top let go of what it holds."""
    child = task.layers[task.depth - 1].image
    if isinstance(child, Heir) and isinstance(child, LiveImage):
        child.set_backing(child.backing, task.base.image)
        child.flush()
    top = task.layers[0].image
    if not keep and isinstance(top, LiveImage):
        top.forget(0, top.size)
        top.flush()
