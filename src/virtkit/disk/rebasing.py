"""Another backing image for an image, or none: what a guest reads stays the same, unless nobody shall look."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import ImageError, NotSupportedError, UnknownFormatError, UsageError, VirtkitError
from virtkit.core.progress import Advanced, Finished, Sink, Started, silent
from virtkit.core.units import MIB, SECTOR, round_down, round_up
from virtkit.disk import comparison
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import Chain, close, open_chain, open_image, open_layers
from virtkit.disk.conversion.row import Part, Row
from virtkit.disk.creation import beside
from virtkit.disk.format import GrainedImage, Kind, PackingImage
from virtkit.disk.live import LiveChain, settled
from virtkit.disk.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.chain import Layer
    from virtkit.disk.copying.source import Source
    from virtkit.disk.format import Extent, LiveImage, Stretch

_STEP = 4 * MIB  # bytes compared at once


class Rebased(NamedTuple):
    backing: Reference | None  # as the image names it now
    copied: int  # bytes that the image had to take over from its old backing image


def rebase(
    path: str,
    backing: str | None,
    backing_format: str | None = None,
    *,
    unsafe: bool = False,
    compress: bool = False,
    dry_run: bool = False,
    source_format: str | None = None,
    access: Access = READ_ONLY,
    report: Sink = silent,
) -> Rebased:
    """Put ``path`` on the image ``backing``, whose name is kept as given; None: on nothing, it holds all itself then.

    Where the new backing image reads otherwise than the old one, ``path`` takes over what it read there, and only
    then names the new one: killed at any moment it reads as before. ``compress``: what it takes over. ``unsafe``: only
    the name is changed, and no backing image needs to be there. ``backing_format`` None: told by the signature; a raw
    one must be said. UsageError; NotSupportedError where the format has no backing images, or cannot be written or
    compressed in place.
    """
    reference = _reference(path, backing, backing_format, access, unsafe=unsafe)
    own = access._replace(writable=not dry_run, shared=access.shared or dry_run)
    with ExitStack() as open_files:
        layers = [open_image(path, source_format, own)] if unsafe else open_layers(path, source_format, own)
        open_files.callback(close, layers)
        new = _below(path, reference, access, unsafe=unsafe)
        if new:
            open_files.enter_context(new)
        if dry_run:
            lacking = _lacking(layers, new, compress=compress)
            return Rebased(reference, 0 if unsafe else sum(end - start for start, end in lacking))
        live = LiveChain(layers)
        if compress and not isinstance(live.top, PackingImage):
            raise NotSupportedError(f"{path}: format {live.format} is not compressed in place", hint="leave -c out")
        copied = 0 if unsafe else _take_over(live, new, report, compress=compress)
        live.flush()
        live.top.set_backing(reference, new.layers[0].image if new else None)
        live.flush()
        return Rebased(reference, copied)


def _reference(path: str, name: str | None, format_: str | None, access: Access, *, unsafe: bool) -> Reference | None:
    """The new backing image with its format; a look at it does not mind who else uses it."""
    if not name:
        if format_:
            raise UsageError("-F: is the format of a backing file, and none is given", hint="-b FILE")
        return None
    below = beside(path, name)
    if os.path.exists(below) and os.path.exists(path) and os.path.samefile(path, below):
        raise ImageError(f"{path}: is the backing file that was asked for, and no image can stand on itself")
    if unsafe and format_:
        return Reference(name, format_)
    try:
        with open_chain(below, format_, _as_backing(access)._replace(shared=True)) as chain:
            _keep_apart(path, chain)
            return Reference(name, chain.format)
    except UnknownFormatError as error:
        raise UsageError(
            f"{below}: format of the backing file is not said, and it carries no known signature", hint="-F raw"
        ) from error


def _as_backing(access: Access) -> Access:
    return access._replace(writable=False, parent=None)


def _keep_apart(path: str, below: Chain) -> None:
    for layer in below.layers:
        if os.path.exists(path) and os.path.samefile(path, layer.image.file.name):
            raise ImageError(
                f"{path}: cannot stand on {below.name}, which stands on {path} itself",
                hint=f"virtkit disk info --backing-chain {below.name}",
            )


def _below(path: str, reference: Reference | None, access: Access, *, unsafe: bool) -> Chain | None:
    if reference is None:
        return None
    try:
        return open_chain(
            beside(path, reference.name), reference.format, _as_backing(access)._replace(trust_format=True)
        )
    except VirtkitError:
        if unsafe:
            return None
        raise


def _take_over(live: LiveChain, new: Chain | None, report: Sink, *, compress: bool) -> int:
    """Give the top image all that would read otherwise on ``new``; returns how many bytes."""
    step = f"rebase {live.name}"
    report(Started(step, live.size))
    copied = 0
    for start, end in _lacking(live.layers, new, compress=compress):
        data = live.read(start, end - start)
        if data != bytes(len(data)):
            _put(live.top, start, data, compress=compress)
        else:
            live.top.zero(start, end - start)
        copied += end - start
        report(Advanced(step, end))
    report(Finished(step))
    return copied


def _put(top: LiveImage, start: int, data: bytes, *, compress: bool) -> None:
    if compress and isinstance(top, PackingImage):
        top.write_compressed(start, data)
    else:
        top.write(start, data)


def _lacking(layers: Sequence[Layer], new: Chain | None, *, compress: bool) -> Iterator[Stretch]:
    """Whole units where the top image has a hole, and what it reads there is not what it would read on ``new``.

    Clusters are compressed whole, also where the unit is a part of one.
    """
    chain, top = Chain(layers), layers[0].image
    old = Chain(layers[1:]) if len(layers) > 1 else None
    unit = top.unit if isinstance(top, GrainedImage) and not compress else top.facts.cluster_size or SECTOR
    reached = 0
    for hole in settled(top, 0, top.size):
        for start, end in _unlike(old, new, hole) if hole.kind is Kind.HOLE else ():
            at, last = max(round_down(start, unit), reached), min(round_up(end, unit), top.size)
            while at < last:
                reached = min(round_down(at, _STEP) + _STEP, last)
                yield from _differing(chain, new, (at, reached), unit)
                at = reached


def _unlike(old: Chain | None, new: Chain | None, hole: Extent) -> Iterator[Stretch]:
    """Where the maps alone do not tell that both read alike; neighbours joined."""
    start = end = hole.start
    for one, other in comparison.pairs(_part(old, hole), _part(new, hole), hole.length):
        if comparison.alike(one, other):
            continue
        if hole.start + one.start > end:
            if start < end:
                yield start, end
            start = hole.start + one.start
        end = hole.start + one.end
    if start < end:
        yield start, end


def _part(chain: Chain | None, hole: Extent) -> Source:
    """Behind the end of a disk, and where there is none, there is nothing."""
    return Part(chain, hole.start, max(min(hole.end, chain.size), hole.start)) if chain else Row(())


def _differing(chain: Chain, new: Chain | None, within: Stretch, unit: int) -> Iterator[Stretch]:
    """Runs of units that read otherwise."""
    at, end = within
    own = chain.read(at, end - at)
    others = (new.read(at, end - at) if new else b"").ljust(end - at, b"\0")
    begin = -1
    for index in range(0, end - at, unit):
        if own[index : index + unit] != others[index : index + unit]:
            begin = index if begin < 0 else begin
        elif begin >= 0:
            yield at + begin, at + index
            begin = -1
    if begin >= 0:
        yield at + begin, end
