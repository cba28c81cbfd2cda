"""The compressed clusters of a new image, one behind the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import MIB, SECTOR
from virtkit.disk.formats.qcow2.layout import COMPRESSED

if TYPE_CHECKING:
    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer
    from virtkit.disk.formats.qcow2.counts import Counts

BATCH = 2 * MIB  # bytes per write


class Streams:
    """A stream may share its first and its last host cluster with others, as often as a refcount can say."""

    def __init__(self, file: File, cluster: int, counts: Counts) -> None:
        self._file, self._cluster, self._counts = file, cluster, counts
        self._next = self._end = 0  # free bytes of the open host cluster
        self._pending: list[Buffer] = []
        self._pending_size = 0

    def append(self, coded: Buffer) -> int:
        """The L2 entry of ``coded``, which is shorter than a cluster."""
        if self._next < self._end and self._counts.get(self._next // self._cluster) >= self._counts.most:
            self.flush()
            self._next = self._end = 0
        if len(coded) > self._end - self._next:
            self._open_another()
        at = self._next
        for cluster in range(at // self._cluster, (at + len(coded) - 1) // self._cluster + 1):
            self._counts.add(cluster, 1)
        self._pending.append(coded)
        self._pending_size += len(coded)
        self._next += len(coded)
        if self._pending_size >= BATCH:
            self.flush()
        return self._entry(at, len(coded))

    def _entry(self, at: int, length: int) -> int:
        extra = (at + length - 1) // SECTOR - at // SECTOR  # sectors after the one that holds the first byte
        shift = 62 - (self._cluster.bit_length() - 1 - 8)
        return COMPRESSED | extra << shift | at

    def _open_another(self) -> None:
        """Go on into the next host cluster if it follows; data that was placed meanwhile may lie between."""
        at = self._counts.take(1)
        self._counts.add(at // self._cluster, -1)
        if at != self._end:
            self.flush()
            self._next = at
        self._end = at + self._cluster

    def flush(self) -> None:
        self._file.write_parts(self._next - self._pending_size, self._pending)
        self._pending.clear()
        self._pending_size = 0
