"""Which bytes of a qcow file are used: a walk over all tables, each looked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.disk.formats.qcow.layout import COMPRESSED, ENTRY, Header
from virtkit.disk.runs import runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.formats.qcow.mapping import QcowImage


class Used(NamedTuple):
    """Bytes [begin, end) of the file, and what they are."""

    begin: int
    end: int
    what: str
    clusters: int = 0  # of the guest's disk
    compressed: int = 0  # how many of them


def used(image: QcowImage) -> Iterator[Used]:
    """Header, L1 table, L2 tables and what they name; of tables that are named twice, what they name comes once.

    Nothing is refused here but tables that cannot be read: CorruptImageError.
    """
    header, head = image.head.header, image.head
    yield Used(0, Header.SIZE, "header")
    yield Used(header.l1_offset, head.l1_end, "L1 table")
    if head.backing:
        yield Used(header.backing_offset, header.backing_offset + header.backing_size, "name of the backing file")
    seen: set[int] = set()
    for run in image.l1_runs(0, head.l1_entries):
        for index in range(run.begin, run.end) if run.entry else ():
            yield Used(run.entry, run.entry + ENTRY * head.l2_entries, f"L2 table {index}")
            if run.entry not in seen:
                seen.add(run.entry)
                yield from _joined(_of_table(image, index, run.entry))


def _joined(found: Iterator[Used]) -> Iterator[Used]:
    """Compressed clusters that stand one behind the other are one stretch: there are very many of them."""
    waiting: Used | None = None
    for stretch in found:
        if waiting and waiting.compressed and stretch.compressed and waiting.end == stretch.begin:
            count = waiting.clusters + 1
            waiting = waiting._replace(end=stretch.end, clusters=count, compressed=count)
            continue
        if waiting:
            yield waiting
        waiting = stretch
    if waiting:
        yield waiting


def _of_table(image: QcowImage, index: int, at: int) -> Iterator[Used]:
    head, base = image.head, index * image.head.l2_entries
    table = image.table(index, at)
    for run in runs(table, 0, len(table), head.cluster, (0,)):
        count = run.end - run.begin
        if not run.entry:
            continue
        if run.entry & COMPRESSED:
            places = [head.compressed_place(run.entry + number * head.cluster) for number in range(count)]
            yield from (
                Used(start, start + length, f"cluster {base + run.begin + number}", 1, compressed=1)
                for number, (start, length) in enumerate(places)
            )
        else:
            yield Used(run.entry, run.entry + count * head.cluster, f"cluster {base + run.begin}", count)
