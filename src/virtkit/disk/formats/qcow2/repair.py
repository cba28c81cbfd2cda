"""Mend a qcow2 image: first what its tables say, then how often its clusters are used, then the flags.

Each step leaves an image whose faults are the same or fewer: entries are dropped before refcounts fall, refcounts
rise before flags tell of them, and new tables are whole and on stable storage before the header names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.progress import Note, Sink, silent
from virtkit.disk.formats.qcow2.check import Check
from virtkit.disk.formats.qcow2.checking import check
from virtkit.disk.formats.qcow2.head import Head, read_head
from virtkit.disk.formats.qcow2.layout import Features, Header, Incompatible
from virtkit.disk.formats.qcow2.mendbitmaps import mend_bitmaps
from virtkit.disk.formats.qcow2.mendsnapshots import mend_snapshots
from virtkit.disk.formats.qcow2.mendtables import TableMender, mend_copied
from virtkit.disk.formats.qcow2.refcounts import Refcounts
from virtkit.disk.formats.qcow2.refwriting import lacks_blocks, mend_blocks, store_anew
from virtkit.disk.formats.qcow2.snapshots import read as read_snapshots

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Findings
    from virtkit.disk.formats.qcow2.refwriting import Mended

_REFCOUNT_TABLE = Header.offset_of("refcount_table_offset")
_INCOMPATIBLE = Header.SIZE + Features.offset_of("incompatible")


def repair(file: File, *, leaks_only: bool, report: Sink = silent) -> Findings:
    """What is left; each change is told as a Note. CorruptImageError where not even the header can be read."""
    steps = (_lower, _mend_flags) if leaks_only else (_mend_names, _mend_entries, _mend_refcounts, _mend_flags)
    for step in steps:
        for told in step(file, read_head(file)):
            report(Note(f"repair {file.name}", told))
        file.sync_data()
    left = check(file, read_head(file))
    if not left.corruptions and not left.leaks:
        for told in _mark_sound(file, read_head(file)):
            report(Note(f"repair {file.name}", told))
    file.sync()
    return left


def _mend_names(file: File, head: Head) -> Iterator[str]:
    """What the header names: snapshots and bitmaps."""
    yield from mend_snapshots(file, head)
    yield from mend_bitmaps(file, read_head(file))


def _mend_entries(file: File, head: Head) -> Iterator[str]:
    mender = TableMender(file, head)
    yield from mender.mend_l1("L1 table", head.header.l1_offset, head.header.l1_size)
    for snapshot in read_snapshots(file, head):
        what = f"L1 table of snapshot {snapshot.name}"
        yield from mender.mend_l1(what, snapshot.header.l1_offset, snapshot.header.l1_size)


def _lower(file: File, head: Head) -> Iterator[str]:
    found = Check(file, head)
    found.count_references()
    found.count_refcount_blocks()
    yield from _told(mend_blocks(found.ledger, lower_only=True))


def _mend_refcounts(file: File, head: Head) -> Iterator[str]:
    found = Check(file, head)
    found.count_references()
    found.count_refcount_blocks()
    if found.unsound or lacks_blocks(found.ledger):
        found.compare()
        yield from _rebuild(file, head, found.last_used + 1)
    else:
        yield from _told(mend_blocks(found.ledger, lower_only=False))


def _told(mended: Iterable[Mended]) -> Iterator[str]:
    for block in mended:
        yield f"refcount block {block.number} at {block.at:#x}: refcounts put right: {block.wrong}"


def _rebuild(file: File, head: Head, first: int) -> Iterator[str]:
    """The old table and blocks are used by nothing then."""
    found = Check(file, head)
    found.count_references()
    ledger, order = found.ledger, head.features.refcount_order
    at, clusters = store_anew(ledger.file, ledger.cluster, ledger.references, first, order)
    file.sync_data()
    file.write(_REFCOUNT_TABLE, at.to_bytes(8, "big") + clusters.to_bytes(4, "big"))
    yield f"refcounts: counted anew, their table is at {at:#x} now"


def _mend_flags(file: File, head: Head) -> Iterator[str]:
    """Where the refcounts can be trusted."""
    found = Check(file, head)
    found.count_references()
    found.count_refcount_blocks()
    found.compare()
    if found.tally.flags and found.tally.corruptions == found.tally.flags and not found.tally.leaks:
        yield from mend_copied(file, head, Refcounts(file, head))


def _mark_sound(file: File, head: Head) -> Iterator[str]:
    marks = Incompatible.DIRTY | Incompatible.CORRUPT
    if head.features.incompatible & marks:
        file.write(_INCOMPATIBLE, (head.features.incompatible & ~marks).to_bytes(8, "big"))
        yield "header: the marks dirty and corrupt are taken off"
