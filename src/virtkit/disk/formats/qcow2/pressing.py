"""Compressed clusters written in place: packed one behind the other into clusters that are new, as the writer does.

A host cluster that several streams touch is counted once for each (specification, "Compressed Clusters Descriptor").
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import divide_up
from virtkit.disk import codecs
from virtkit.disk.formats.qcow2.entries import compressed_entry
from virtkit.disk.formats.qcow2.layout import Incompatible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.disk.format import Buffer
    from virtkit.disk.formats.qcow2.written import WrittenQcow2

_LEVEL = "default"
_LEAST_ORDER = 4  # refcounts of 16 bits; a cluster of 2 MiB has no more streams in it
_BATCH = 64  # streams packed together: what the last of their clusters has left stays empty


def write(image: WrittenQcow2, start: int, data: Buffer) -> None:
    _require_possible(image)
    size = image.head.cluster_size
    encode = codecs.encoder(image.head.compression, _LEVEL)
    view = memoryview(data).cast("B")
    streams: list[bytes] = []
    first = start  # of ``streams``
    for at in range(start, start + len(view), size):
        unit = view[at - start : at - start + size]
        coded = encode(bytes(unit).ljust(size, b"\0"))
        if coded is None or len(streams) == _BATCH or (at % image.head.l2_span == 0 and streams):
            _store(image, first, streams)
            streams, first = [], at
        if coded is None:
            image.write(at, unit)
            first = at + size
        else:
            streams.append(coded)
    _store(image, first, streams)


def _require_possible(image: WrittenQcow2) -> None:
    reason = "is encrypted" if image.head.encryption else ""
    reason = "keeps its data in another file" if image.head.has(Incompatible.DATA_FILE) else reason
    if image.head.features.refcount_order < _LEAST_ORDER:
        reason = f"has refcounts of {1 << image.head.features.refcount_order} bits"
    if reason:
        raise NotSupportedError(f"{image.file.name}: {reason}, so it holds no compressed data", hint="leave -c out")


def _store(image: WrittenQcow2, start: int, streams: Sequence[bytes]) -> None:
    """Streams of clusters one after the other, all in one L2 table."""
    if not streams:
        return
    image.begin()
    size, allocator = image.head.cluster_size, image.allocator
    image.recorder.note(start, min(len(streams) * size, image.size - start))
    count = divide_up(sum(map(len, streams)), size)
    first = allocator.take_row(count)
    users, at, entries = [0] * count, first * size, array("Q")
    for stream in streams:
        entries.append(compressed_entry(at, len(stream), image.head.header.cluster_bits))
        for cluster in range(at // size, (at + len(stream) - 1) // size + 1):
            users[cluster - first] += 1
        at += len(stream)
    for index, used in enumerate(users):
        allocator.share(first + index, 1, used - 1)
    image.file.write(first * size, b"".join(streams))
    image.clusters.name_streams(start, entries)
    image.commit_in_time()
