"""The bytes of a source written over a disk that exists."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError, VerifyError
from virtkit.core.units import format_size
from virtkit.disk import comparison
from virtkit.disk.conversion import carrying
from virtkit.disk.conversion.order import Converted
from virtkit.disk.conversion.row import Part
from virtkit.disk.conversion.writing import ground_of
from virtkit.disk.copying import copy
from virtkit.disk.copying.copy import Manner
from virtkit.disk.live import open_live

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.progress import Sink
    from virtkit.disk.access import Access
    from virtkit.disk.conversion.order import Design, Order
    from virtkit.disk.copying.source import Source
    from virtkit.disk.live import LiveChain


def check(wanted: Order) -> None:
    """UsageError, NotSupportedError for what makes no sense with, or without, an image that exists."""
    if not wanted.existing:
        if wanted.is_zero:
            raise UsageError("--target-is-zero: is about an image that exists", hint="-n --target-is-zero")
        return
    if wanted.options:
        raise UsageError("-o: has no effect on an image that exists", hint=f"virtkit disk amend {wanted.target}")
    if wanted.level is not None:
        raise NotSupportedError("-c: an image that exists is not compressed in place", hint="leave -n out")
    if wanted.snapshots:
        raise NotSupportedError("--snapshots: an image that exists keeps its own", hint="leave -n out")
    if wanted.is_zero and wanted.backing:
        raise UsageError("--target-is-zero: makes no sense where the target has a backing file")


@contextmanager
def opened(source: Source, wanted: Order, access: Access) -> Iterator[LiveChain]:
    """The target; UsageError where the source's disk does not fit."""
    with open_live(wanted.target, wanted.format, access._replace(secret=wanted.secret, parent=None)) as target:
        if target.size < source.size:
            sizes = f"{format_size(target.size)}, expected at least the source's {format_size(source.size)}"
            hint = f"virtkit disk resize {wanted.target} {source.size}"
            raise UsageError(f"{wanted.target}: size is {sizes} ({source.size} bytes)", hint=hint)
        yield target


def overwrite(source: Source, design: Design, access: Access, report: Sink) -> Converted:
    """The target's disk may be longer than the source's: what lies behind stays as it is."""
    wanted = design.wanted
    with opened(source, wanted, access) as target:
        _copy(source, design, target, report)
        left_out = carrying.carry(source, target.top) if wanted.bitmaps else ()
        target.flush()
        if wanted.verify:
            _prove(source, target, report)
        allocated = sum(file.allocated for file in target.top.files)
        return Converted(wanted.target, target.format, target.size, allocated, left_out=left_out)


def _copy(source: Source, design: Design, target: LiveChain, report: Sink) -> None:
    wanted, ground = design.wanted, ground_of(source, design.below)
    if ground:  # behind the backing image's end there may be anything
        ground = ground._replace(size=source.size)
    manner = Manner(sparse=wanted.sparse, threads=wanted.threads, rate=wanted.rate, ground=ground)
    amount = copy.measure(source, ground=ground, dense=wanted.sparse == 0)
    copy.Copy(source, amount, manner).run_in_place(target, report, is_zero=wanted.is_zero)


def _prove(source: Source, target: LiveChain, report: Sink) -> None:
    found = comparison.compare(source, Part(target, 0, source.size), report)
    if found.offset is not None:
        raise VerifyError(target.name, f"it differs from its source at byte {found.offset:#x}")
