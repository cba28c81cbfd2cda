"""An open qcow image: its L1 and L2 tables as extents."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import KIB, SECTOR, divide_up, round_down, round_up
from virtkit.disk import codecs
from virtkit.disk.format import Extent, Facts, Kind, Reference
from virtkit.disk.formats.qcow.layout import COMPRESSED, ENTRY, Head
from virtkit.disk.runs import Run, merged, read_table, runs

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.disk.access import Access
    from virtkit.disk.cipher import Cipher
    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer, Decode

PIECE = 64 * KIB  # entries of the L1 table read at once
DECRYPTED = 64 * KIB  # bytes that are decrypted at once
_EMPTY = (0,)
_LARGEST = 1 << 62  # bytes; no file is longer


class QcowImage:
    def __init__(self, file: File, head: Head, access: Access) -> None:
        self.file = file
        self.files = (file,)
        self.head = head
        self.size = head.size
        self._secret = access.secret
        self._seen = 0  # bytes of the file, as far as it had to be known
        self._last: tuple[int, array[int]] | None = None  # an L2 table and where it is
        self._last_piece: tuple[int, array[int]] | None = None  # of the L1 table, and its first entry

    @property
    def facts(self) -> Facts:
        return Facts(cluster_size=self.head.cluster, encrypted=self.is_encrypted)

    @property
    def is_encrypted(self) -> bool:
        return bool(self.head.header.crypt_method)

    @property
    def backing(self) -> Reference | None:
        """The header has no room for its format."""
        return Reference(self.head.backing, None, can_be_said=False) if self.head.backing else None

    @cached_property
    def cipher(self) -> Cipher:
        from virtkit.disk import cipher

        return cipher.legacy_aes(cipher.require_secret(self.file, "AES", self._secret))

    @cached_property
    def decompress(self) -> Decode:
        return codecs.decoder("zlib", self.head.cluster)

    def decrypt(self, extent: Extent, stored: Buffer) -> Buffer:
        if len(stored) < extent.stored:  # the file has become shorter
            found, expected = f"{len(stored)} bytes long", f"{extent.stored} bytes"
            raise CorruptImageError(self.file.name, "data", found=found, expected=expected, offset=extent.at)
        return self.cipher.decrypt((extent.start - extent.skip) // SECTOR, stored)

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        return merged(self._extents(start, start + length)) if length else iter(())

    def close(self) -> None:
        self.file.close()

    def l1_runs(self, first: int, last: int) -> Iterator[Run]:
        """Entries [first, last) of the L1 table."""
        for begin in range(round_down(first, PIECE), last, PIECE):
            piece = self.l1_piece(begin)
            for run in runs(piece, max(first - begin, 0), min(last - begin, len(piece)), 0, _EMPTY):
                yield Run(begin + run.begin, begin + run.end, run.entry, 0)

    def l1_piece(self, first: int) -> array[int]:
        """Up to PIECE entries from that one on, a multiple of PIECE."""
        if not self._last_piece or self._last_piece[0] != first:
            at = self.head.header.l1_offset + ENTRY * first
            count = min(PIECE, self.head.l1_entries - first)
            self._last_piece = first, read_table(self.file, "L1 table", at, count, code="Q", endian="big")
        return self._last_piece[1]

    def l1_entry(self, index: int) -> int:
        return self.l1_piece(round_down(index, PIECE))[index % PIECE]

    def table(self, index: int, at: int) -> array[int]:
        """The L2 table at byte ``at``, which entry ``index`` of the L1 table names."""
        if not self._last or self._last[0] != at:
            self._last = at, self.read_l2(index, at)
        return self._last[1]

    def read_l2(self, index: int, at: int) -> array[int]:
        """CorruptImageError."""
        if at % SECTOR or at >= _LARGEST:
            where = self.head.header.l1_offset + ENTRY * index
            raise CorruptImageError(
                self.file.name, "L1 entry", found=f"{at:#x}", expected=f"a multiple of {SECTOR}", offset=where
            )
        return read_table(self.file, f"L2 table {index}", at, self.head.l2_entries, code="Q", endian="big")

    def _extents(self, start: int, end: int) -> Iterator[Extent]:
        span = self.head.span
        for run in self.l1_runs(start // span, divide_up(end, span)):
            if not run.entry:
                begin = max(start, run.begin * span)
                yield Extent(begin, min(end, run.end * span) - begin, Kind.HOLE)
                continue
            for index in range(run.begin, run.end):
                table = self.table(index, run.entry)
                yield from self._of_table(table, index, max(start, index * span), min(end, (index + 1) * span))

    def _of_table(self, table: array[int], index: int, start: int, end: int) -> Iterator[Extent]:
        base, cluster = index * self.head.span, self.head.cluster
        for run in runs(table, (start - base) // cluster, divide_up(end - base, cluster), cluster, _EMPTY):
            begin, stop = max(start, base + run.begin * cluster), min(end, base + run.end * cluster)
            first = base + run.begin * cluster
            if not run.entry:
                yield Extent(begin, stop - begin, Kind.HOLE)
            elif run.entry & COMPRESSED:
                yield from self._compressed(run, first, begin, stop)
            elif self.is_encrypted:
                yield from self._encrypted(run.entry - first, begin, stop)
            else:
                at = run.entry + begin - first
                self.require_place(run.entry, at, stop - begin)
                yield Extent(begin, stop - begin, Kind.DATA, self.file, at)

    def _compressed(self, run: Run, first: int, begin: int, stop: int) -> Iterator[Extent]:
        cluster = self.head.cluster
        for start in range(round_down(begin, cluster), stop, cluster):
            at, stored = self.head.compressed_place(run.entry + (start - first))
            at_start, at_stop = max(begin, start), min(stop, start + cluster)
            skip = at_start - start
            self.require_place(at & -SECTOR, at, stored)
            yield Extent(at_start, at_stop - at_start, Kind.CODED, self.file, at, stored, skip, self.decompress)

    def _encrypted(self, shift: int, begin: int, stop: int) -> Iterator[Extent]:
        """``shift``: from the guest's bytes to those of the file."""
        while begin < stop:
            edge = min(round_down(begin, DECRYPTED) + DECRYPTED, stop)
            first = round_down(begin, SECTOR)
            stored = round_up(edge, SECTOR) - first
            self.require_place(first + shift, first + shift, stored)
            yield Extent(begin, edge - begin, Kind.CODED, self.file, first + shift, stored, begin - first, self.decrypt)
            begin = edge

    def require_place(self, entry: int, at: int, length: int) -> None:
        """CorruptImageError where the entry is not aligned, or its data not within the file."""
        if at + length > self._seen:  # whoever writes to it may have made it longer
            self._seen = self.file.size
        end = self._seen
        if entry % SECTOR or at + length > end:
            found, expected = f"{length} bytes at {at:#x}", f"aligned data within {end:#x} bytes"
            raise CorruptImageError(self.file.name, "L2 entry", found=found, expected=expected, offset=min(at, end))
