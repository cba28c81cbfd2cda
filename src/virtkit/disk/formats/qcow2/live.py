"""All that can be done to an existing qcow2 image; each verb's module is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.disk.formats.qcow2.written import WrittenQcow2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.core.progress import Sink
    from virtkit.disk.format import Buffer, Snapshot


class LiveQcow2(WrittenQcow2):
    def create_snapshot(self, snapshot: Snapshot, state: Iterable[Buffer] = ()) -> Snapshot:
        from virtkit.disk.formats.qcow2 import history

        return history.create(self, snapshot, state)

    def apply_snapshot(self, name: str) -> None:
        from virtkit.disk.formats.qcow2 import history

        history.apply(self, name)

    def delete_snapshot(self, name: str) -> None:
        from virtkit.disk.formats.qcow2 import history

        history.delete(self, name)

    def write_compressed(self, start: int, data: Buffer) -> None:
        from virtkit.disk.formats.qcow2 import pressing

        pressing.write(self, start, data)

    def compact(self, report: Sink) -> None:
        from virtkit.disk.formats.qcow2 import compaction

        compaction.compact(self, report)
