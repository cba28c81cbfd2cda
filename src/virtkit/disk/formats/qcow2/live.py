"""All that can be done to an existing qcow2 image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.disk.formats.qcow2 import compaction, history, pressing
from virtkit.disk.formats.qcow2.written import WrittenQcow2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.core.progress import Sink
    from virtkit.disk.format import Buffer, Snapshot


class LiveQcow2(WrittenQcow2):
    def create_snapshot(self, snapshot: Snapshot, state: Iterable[Buffer] = ()) -> Snapshot:
        return history.create(self, snapshot, state)

    def apply_snapshot(self, name: str) -> None:
        history.apply(self, name)

    def delete_snapshot(self, name: str) -> None:
        history.delete(self, name)

    def write_compressed(self, start: int, data: Buffer) -> None:
        pressing.write(self, start, data)

    def compact(self, report: Sink) -> None:
        compaction.compact(self, report)
