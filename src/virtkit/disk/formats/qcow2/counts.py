"""How often the clusters of a new image are used. Nearly all are used once: only the others are remembered."""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.core.units import MIB, divide_up, format_size
from virtkit.disk.formats.qcow2.layout import ENTRY, MAX_REFCOUNT_TABLE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File

_PART = 4096  # clusters whose counts are kept together
_MOST = (1 << 32) - 1
_BATCH = 4 * MIB  # bytes per write
_BYTE_ORDER = 3  # refcount order of counts that are one byte
_CODES = {4: "H", 5: "I", 6: "Q"}  # by refcount order


class Counts:
    """Every cluster that is taken counts one; ``add`` is for those that compressed data share."""

    def __init__(self, cluster: int, order: int) -> None:
        self._cluster, self._order = cluster, order
        self.most = min((1 << (1 << order)) - 1, _MOST)
        self.clusters = 0
        self._special: dict[int, array[int]] = {}

    def take(self, count: int) -> int:
        """The first of ``count`` new clusters, in bytes."""
        at = self.clusters * self._cluster
        self.clusters += count
        return at

    def get(self, cluster: int) -> int:
        part = self._special.get(cluster // _PART)
        return part[cluster % _PART] if part else 1

    def add(self, cluster: int, weight: int) -> None:
        part = self._special.setdefault(cluster // _PART, array("I", [1]) * _PART)
        part[cluster % _PART] += weight

    def store(self, file: File) -> tuple[int, int]:
        """Write refcount table and blocks, which count themselves; returns the table's position and its clusters."""
        blocks, table = refcount_clusters(self.clusters, self._cluster, self._order)
        if table * self._cluster > MAX_REFCOUNT_TABLE_SIZE:
            raise UsageError(
                f"{file.name}: image is {format_size(self.clusters * self._cluster)}, too long for its refcounts",
                hint="larger clusters or fewer refcount bits: -o cluster_size=64K,refcount_bits=16",
            )
        at, first = self.take(table), self.take(blocks)
        entries = array("Q", range(first, first + blocks * self._cluster, self._cluster))
        write_words(file, at, entries, room=table * self._cluster)
        self._store_blocks(file, first, blocks)
        return at, table

    def _store_blocks(self, file: File, at: int, blocks: int) -> None:
        batch: list[bytes] = []
        for block in self._blocks(blocks):
            batch.append(block)
            if len(batch) * self._cluster >= _BATCH:
                file.write(at, b"".join(batch))
                at += len(batch) * self._cluster
                batch.clear()
        file.write(at, b"".join(batch))

    def _blocks(self, blocks: int) -> Iterator[bytes]:
        entries = self._cluster * 8 >> self._order
        ones = encoded(array("I", [1]) * entries, self._order)
        special = {part * _PART // entries for part in self._special}
        for index in range(blocks):
            first = index * entries
            inner = range(first // _PART, divide_up(first + entries, _PART))
            plain = index not in special and not self._special.keys() & set(inner)
            if plain and first + entries <= self.clusters:
                yield ones
            elif plain:
                yield encoded(array("I", [1]) * (self.clusters - first), self._order).ljust(self._cluster, b"\0")
            else:
                counts = array("I", map(self.get, range(first, min(first + entries, self.clusters))))
                yield encoded(counts, self._order).ljust(self._cluster, b"\0")


def refcount_clusters(clusters: int, cluster: int, order: int) -> tuple[int, int]:
    """Clusters of refcount blocks, and of the table of these, that ``clusters`` others need."""
    entries, blocks, table = cluster * 8 >> order, 0, 0
    while (total := clusters + table + blocks) > blocks * entries:
        blocks = divide_up(total, entries)
        table = divide_up(ENTRY * blocks, cluster)
    return blocks, table


def encoded(counts: array[int], order: int) -> bytes:
    """As a refcount block has them: big-endian; counts of less than a byte from the lowest bits up."""
    if order < _BYTE_ORDER:
        bits, each = 1 << order, 8 >> order
        padded = counts + array("I", bytes(4 * (-len(counts) % each)))
        whole = 0
        for place in range(each):
            whole |= int.from_bytes(bytes(padded[place::each].tolist()), "little") << place * bits
        return whole.to_bytes(len(padded) // each, "little")
    if order == _BYTE_ORDER:
        return bytes(counts.tolist())
    return big_endian(array(_CODES[order], counts))


def big_endian(words: array[int]) -> bytes:
    stored = words[:]
    if sys.byteorder == "little":
        stored.byteswap()
    return stored.tobytes()


def write_words(file: File, at: int, words: array[int], *, room: int = 0) -> None:
    """Big-endian, as everything in qcow2; zeros up to ``room`` bytes."""
    file.write(at, big_endian(words).ljust(room, b"\0"))
