"""Pull mode: QEMU offers the disks as they were at one moment, and we read them and write the images.

So QEMU needs not reach where they go, and they can be compressed. Only what changed is read: QEMU's bitmap says what.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit import disk
from virtkit.core.errors import MachineError, NotSupportedError
from virtkit.core.progress import Advanced, Finished, Started
from virtkit.core.units import KIB, MIB, round_down, round_up
from virtkit.disk.format import PackingImage
from virtkit.disk.nbd.client import DIRTY, DIRTY_BITMAP, Remote
from virtkit.disk.nbd.protocol import ALLOCATION, Allocation
from virtkit.recipes.backups.digest import ACCESS
from virtkit.vm.backups.job import CHANGED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.core.progress import Sink
    from virtkit.disk.live import LiveChain

Range = tuple[int, int]  # bytes
_CLUSTER = 64 * KIB  # of the images that we make
_UNIT = MIB  # bytes read at once: whole clusters


class Stretch(NamedTuple):
    start: int  # bytes
    end: int
    silent: bool  # reads as zeros


def pull(socket: str, target: str, file: str, below: str, report: Sink, *, compress: bool) -> None:
    """One disk as the new qcow2 image ``file``: all of it, or on the image ``below`` what changed."""
    context = f"{DIRTY_BITMAP}{CHANGED}"
    with Remote(socket, target, (ALLOCATION, context) if below else (ALLOCATION,)) as remote:
        if below and not remote.knows(context):
            raise MachineError(f"disk {target}: QEMU does not say what changed in it", hint="without --incremental")
        stretches = list(_wanted(remote, context if below else ""))
        backing, form = (below, "qcow2") if below else (None, None)
        disk.create(file, remote.size, target_format="qcow2", backing=backing, backing_format=form, unchecked=True)
        with disk.open(file, "r+", "qcow2", ACCESS) as image:
            for stretch in stretches:
                if stretch.silent and below:
                    image.zero(stretch.start, stretch.end - stretch.start)
            noisy = list(_whole((stretch for stretch in stretches if not stretch.silent), remote.size))
            _copy(remote, image, noisy, report, compress=compress)


def _copy(remote: Remote, image: LiveChain, stretches: list[Range], report: Sink, *, compress: bool) -> None:
    step, done = f"back up {image.name}", 0
    top = image.top
    if compress and not isinstance(top, PackingImage):
        raise NotSupportedError(f"{image.name}: holds no compressed data")
    report(Started(step, sum(end - start for start, end in stretches)))
    for start, data in remote.read(_pieces(stretches)):
        if compress and isinstance(top, PackingImage):
            top.write_compressed(start, data)
        else:
            image.write(start, data)
        done += len(data)
        report(Advanced(step, done))
    report(Finished(step))


def _whole(stretches: Iterable[Stretch], size: int) -> Iterator[Range]:
    """In whole clusters, each once. What QEMU offers is the whole disk: more than what changed is no mistake."""
    last: Range | None = None
    for stretch in stretches:
        start, end = round_down(stretch.start, _CLUSTER), min(round_up(stretch.end, _CLUSTER), size)
        if last and start <= last[1]:
            last = (last[0], max(end, last[1]))
            continue
        if last:
            yield last
        last = (start, end)
    if last:
        yield last


def _pieces(stretches: Iterable[Range]) -> Iterator[Range]:
    """(start, length), cut where ``_UNIT`` begins: no cluster is in two of them."""
    for start, end in stretches:
        at = start
        while at < end:
            stop = min(end, at - at % _UNIT + _UNIT)
            yield at, stop - at
            at = stop


def _wanted(remote: Remote, context: str) -> Iterator[Stretch]:
    """What is to be copied, in order; without ``context``: all that is not zeros."""
    known = [Stretch(one.start, one.end, bool(one.flags & Allocation.ZERO)) for one in remote.status(ALLOCATION)]
    if not context:
        yield from (each for each in known if not each.silent)
        return
    yield from _common([(one.start, one.end) for one in remote.status(context) if one.flags & DIRTY], known)


def _common(dirty: list[tuple[int, int]], known: list[Stretch]) -> Iterator[Stretch]:
    """The parts of ``known`` within ``dirty``; both are in order."""
    index = 0
    for start, end in dirty:
        while index and known[index].start > start:
            index -= 1
        while index < len(known) and known[index].start < end:
            each = known[index]
            if each.end > start:
                yield Stretch(max(start, each.start), min(end, each.end), each.silent)
            if each.end >= end:
                break
            index += 1
