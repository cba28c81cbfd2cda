"""A file that remembers what is done to it, and what a power cut may leave of that.

Until a sync returns, the kernel may store any part of what was written, in any order. SIGKILL is the mildest case:
everything that was written is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.disk.file import File

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from virtkit.disk.format import Buffer

_SECTOR = 512  # bytes that are stored at once


class Change(NamedTuple):
    what: str  # write, zero, resize or sync
    at: int = 0  # of a resize: the new size
    data: bytes = b""
    length: int = 0


class Diary(File):
    """Open with ``Diary.open(path, writable=True)``."""

    __slots__ = ("before", "changes")

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(fd, name)
        self.before = super().read(0, super().size)
        self.changes: list[Change] = []

    def write(self, at: int, data: Buffer) -> None:
        self.changes.append(Change("write", at, bytes(data)))
        super().write(at, data)

    def zero(self, start: int, length: int) -> None:
        self.changes.append(Change("zero", start, length=length))
        super().zero(start, length)

    def discard(self, start: int, length: int) -> None:
        self.zero(start, length)

    def allocate(self, start: int, length: int) -> None:
        self.changes.append(Change("resize", max(self.size, start + length)))
        super().allocate(start, length)

    def resize(self, size: int) -> None:
        self.changes.append(Change("resize", size))
        super().resize(size)

    def sync_data(self) -> None:
        self.changes.append(Change("sync"))

    def sync(self) -> None:
        self.changes.append(Change("sync"))

    def after_a_kill(self, target: Path, cut: int) -> None:
        """The first ``cut`` changes, all of them."""
        self._leave(target, self.changes[:cut])

    def after_a_power_cut(self, target: Path, cut: int, chance: random.Random) -> None:
        """The first ``cut`` changes: up to the last sync all, of those behind it some, and writes in parts."""
        done = self.changes[:cut]
        synced = max((index + 1 for index, change in enumerate(done) if change.what == "sync"), default=0)
        late = [_torn(change, chance) for change in done[synced:] if chance.random() < 0.5]
        self._leave(target, done[:synced] + late)

    def _leave(self, target: Path, changes: list[Change]) -> None:
        room = bytearray(self.before)
        for change in changes:
            _apply(room, change)
        target.write_bytes(room)


def _torn(change: Change, chance: random.Random) -> Change:
    """A write of several sectors may be stored up to one of them."""
    sectors = len(change.data) // _SECTOR
    if change.what != "write" or sectors < 2 or chance.random() < 0.5:
        return change
    return change._replace(data=change.data[: _SECTOR * chance.randrange(1, sectors)])


def _apply(room: bytearray, change: Change) -> None:
    if change.what == "write":
        end = change.at + len(change.data)
        room.extend(bytes(max(end - len(room), 0)))
        room[change.at : end] = change.data
    elif change.what == "zero":
        end = min(change.at + change.length, len(room))
        room[change.at : end] = bytes(max(end - change.at, 0))
    elif change.what == "resize":
        del room[change.at :]
        room.extend(bytes(change.at - len(room)))
