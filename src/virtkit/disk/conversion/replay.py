"""All that an image remembers, told again to a new one: internal snapshots, oldest first, then the disk.

The oldest state is written as any new image is. Each later one differs from its predecessor in some stretches only,
which are written over it in place, after the predecessor was kept as a snapshot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError, VerifyError
from virtkit.core.units import MIB
from virtkit.disk import abilities, comparison
from virtkit.disk.chain import Chain, Layer
from virtkit.disk.conversion import unpublished, view, writing
from virtkit.disk.copying import copy
from virtkit.disk.copying.copy import Manner
from virtkit.disk.copying.overlay import Ground
from virtkit.disk.format import Extent, Kind, LiveSnapshotImage
from virtkit.disk.live import LiveChain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.progress import Sink
    from virtkit.disk.conversion.order import Design, Order
    from virtkit.disk.copying.source import Source
    from virtkit.disk.format import Snapshot, SnapshotImage
    from virtkit.disk.newfile import NewFile

_PIECE = MIB  # bytes of a machine's state at once


def check(source: Source, design: Design) -> Chain:
    """The source as a chain of images. UsageError, NotSupportedError where its snapshots cannot be kept."""
    if not isinstance(source, Chain):
        raise UsageError("--snapshots: only one source, whole and without --salvage, has snapshots to keep")
    view.require(source.layers[0].image, source.layers[0].format)
    if design.wanted.backing:
        raise NotSupportedError("--snapshots: the new image holds all states by itself, without a backing file")
    if not abilities.of(design.kind).snapshots:
        raise NotSupportedError(f"{design.wanted.format}: images of this format keep no snapshots", hint="-O qcow2")
    return source


def write(source: Chain, design: Design, new: NewFile, report: Sink) -> None:
    image = view.require(source.layers[0].image, source.format)
    snapshots = image.snapshots()
    states = [*(view.at(source, f"snapshot.id={one.id}") for one in snapshots), source]
    sizes = [*(state.size for state in states[:-1]), design.wanted.size]
    first = design._replace(wanted=design.wanted._replace(size=sizes[0]))
    writing.write(states[0], first, new, report)
    if not snapshots:
        return
    with LiveChain([Layer(unpublished.opened(design, new, writable=True), design.wanted.format)]) as target:
        for number, snapshot in enumerate(snapshots):
            _keep(target, image, snapshot)
            _step(states[number], states[number + 1], target, sizes[number + 1], report)


def _keep(target: LiveChain, image: SnapshotImage, snapshot: Snapshot) -> None:
    if not isinstance(target.top, LiveSnapshotImage):
        raise NotSupportedError(f"{target.name}: format {target.format} keeps no snapshots")
    target.top.create_snapshot(snapshot, _state(image, snapshot))


def _state(image: SnapshotImage, snapshot: Snapshot) -> Iterator[bytes]:
    for at in range(0, snapshot.state_size, _PIECE):
        yield image.read_state(snapshot.id, at, min(_PIECE, snapshot.state_size - at))


def _step(before: Chain, after: Chain, target: LiveChain, size: int, report: Sink) -> None:
    """From one state, which ``target`` holds, to the next."""
    if size != target.size:
        target.resize(size)
    change = _Change(before, after)
    ground = Ground(own=1, size=after.size)
    copied = copy.Copy(change, copy.measure(change, ground=ground), Manner(ground=ground))
    copied.run_in_place(target, report, is_zero=False)


class _Change:
    """A state as a thin layer on the one before: what both have alike lies below, and nothing is below."""

    def __init__(self, before: Chain, after: Chain) -> None:
        self.name = after.name
        self.size = after.size
        self.layers = after.layers
        self._before = before
        self._after = after

    def extents(self, start: int = 0, length: int | None = None) -> Iterator[Extent]:
        end = self.size if length is None else start + length
        for old, new in comparison.pairs(self._before, self._after, end, start):
            if comparison.alike(old, new):
                yield Extent(new.start, new.length, Kind.HOLE, depth=1)
            else:
                yield new._replace(depth=0)


def prove(source: Chain, design: Design, new: NewFile, report: Sink) -> None:
    """VerifyError where a snapshot of the new image differs from the source's."""
    image = view.require(source.layers[0].image, source.format)
    made = unpublished.chain(design, new)
    try:
        kept = view.require(made.layers[0].image, made.format)
        if kept.snapshots() != image.snapshots():
            raise VerifyError(design.wanted.target, "its snapshots are not those of its source")
        for snapshot in image.snapshots():
            _prove_one(view.at(source, f"snapshot.id={snapshot.id}"), made, snapshot, design.wanted, report)
            if any(one != other for one, other in zip(_state(image, snapshot), _state(kept, snapshot), strict=True)):
                raise VerifyError(design.wanted.target, f"snapshot {snapshot.name}: the machine's state differs")
    finally:
        made.close()


def _prove_one(state: Chain, made: Chain, snapshot: Snapshot, wanted: Order, report: Sink) -> None:
    found = comparison.compare(state, view.at(made, f"snapshot.id={snapshot.id}"), report)
    if found.offset is not None:
        raise VerifyError(wanted.target, f"snapshot {snapshot.name} differs from its source at byte {found.offset:#x}")
