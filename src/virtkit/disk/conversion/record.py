"""What an interrupted conversion leaves beside its target: how far it came, and how the new image was laid out so far.

A file of entries, each with its length and a checksum; behind the first that is torn nothing counts. Entries say what
is in the part's file. After SIGKILL that is all there; after a power cut it is what a later entry SYNCED vouches for.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import zlib
from array import array
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import BusyError, SystemCallError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from virtkit.core.plan import Json

_HEAD = struct.Struct("<4sIII")  # magic, kind, length of what follows, CRC-32 of kind and what follows
_MAGIC = b"vkRc"
_REACHED = struct.Struct("<QQ")  # bytes of the disk that are done, bytes that were moved for them
_COUNT = struct.Struct("<Q")
_VERB = 511  # calls start at a multiple of a sector: the bits below say what is called
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Kind(IntEnum):
    ORDER = 1  # JSON: what was asked for and from which files, and what was found before the first byte was moved
    BOOT = 2  # the boot id of the kernel under which the next entries are written
    DONE = 3  # calls of the writer, and what is done with them
    SYNCED = 4  # so many DONE entries, from the first, are on stable storage with all that they tell
    FILE = 5  # the name of another file that the new image consists of


class Verb(IntEnum):
    """What ``Writer`` was asked; LOST: what could not be read (salvage)."""

    PLACE = 0
    STORE = 1
    BLANK = 2
    LOST = 3


class Call(NamedTuple):
    verb: Verb
    start: int  # bytes of the disk
    length: int  # bytes; STORE: compressed


class Calls:
    """In the order in which they were made; 16 bytes each."""

    def __init__(self, packed: array[int] | None = None) -> None:
        self.packed = packed if packed is not None else array("Q")

    def add(self, call: Call) -> None:
        self.packed.append(call.start | call.verb)
        self.packed.append(call.length)

    def __iter__(self) -> Iterator[Call]:
        for index in range(0, len(self.packed), 2):
            word = self.packed[index]
            yield Call(Verb(word & _VERB), word & ~_VERB, self.packed[index + 1])


class Reached(NamedTuple):
    """How far the copy came. Bytes."""

    disk: int = 0  # everything below is done
    moved: int = 0


class Record:
    """Open and locked; one process works on a target. ``order`` is None as long as nothing can be taken up again."""

    def __init__(self, path: str) -> None:
        """BusyError, SystemCallError."""
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SystemCallError(f"create {path}", error) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            locked = False
        else:
            locked = _is(self._fd, path)
        if not locked:
            os.close(self._fd)
            raise BusyError(f"{path}: another virtkit is at work on this conversion")
        self.order: dict[str, Json] | None = None
        self.reached = Reached()
        self.files: list[str] = []
        self._done = self._synced = 0  # DONE entries
        self._end = 0
        self._look()

    def begin(self, order: dict[str, Json]) -> None:
        self.forget()
        self.order = order
        self._append(Kind.ORDER, json.dumps(order).encode())
        self._append(Kind.BOOT, _boot())

    def forget(self) -> None:
        """Nothing of before counts."""
        self.reached, self._done, self._synced, self._end, self.order = Reached(), 0, 0, 0, None
        self.files.clear()

    def go_on(self) -> None:
        """What was written behind the last entry that counts is gone."""
        self._append(Kind.BOOT, _boot())
        if self._synced:
            self.synced(self._synced)

    def file(self, name: str) -> None:
        if name not in self.files:
            self.files.append(name)
            self._append(Kind.FILE, os.fsencode(name))

    def calls(self) -> Iterator[Calls]:
        """Of all DONE entries that count."""
        for kind, payload, end in self._entries():
            if end > self._end:
                return
            if kind is Kind.DONE:
                yield _unpacked(payload)[1]

    def done(self, reached: Reached, calls: Calls) -> None:
        self._append(Kind.DONE, _REACHED.pack(*reached) + calls.packed.tobytes())
        self._done += 1
        self.reached = reached

    @property
    def count(self) -> int:
        """DONE entries."""
        return self._done

    def synced(self, count: int) -> None:
        self._append(Kind.SYNCED, _COUNT.pack(count))

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def remove(self) -> None:
        os.unlink(self.path)

    def close(self) -> None:
        os.close(self._fd)

    def _append(self, kind: Kind, payload: bytes) -> None:
        head = _HEAD.pack(_MAGIC, kind, len(payload), zlib.crc32(payload, kind))
        entry = memoryview(head + payload)
        try:
            os.ftruncate(self._fd, self._end)
            at = self._end
            while entry:
                done = os.pwrite(self._fd, entry, at)
                entry, at = entry[done:], at + done
        except OSError as error:
            raise SystemCallError(f"write {self.path}", error) from error
        self._end = at

    def _look(self) -> None:
        """Which entries count: all that this kernel knows of, or those that were synced."""
        boots: list[bytes] = []
        ends: list[tuple[int, Reached, bytes]] = []  # of DONE entries, and under which kernel
        for kind, payload, end in self._entries():
            if kind is Kind.ORDER:
                self.order = json.loads(payload)
            elif kind is Kind.BOOT:
                boots.append(payload)
            elif kind is Kind.DONE:
                ends.append((end, _unpacked(payload)[0], boots[-1] if boots else b""))
            elif kind is Kind.SYNCED:
                self._synced = _COUNT.unpack(payload)[0]
            else:
                self.files.append(os.fsdecode(payload))
        while len(ends) > self._synced and ends[-1][2] != _boot():
            ends.pop()
        self._done = len(ends)
        if ends:
            self._end, self.reached, _ = ends[-1]
        else:
            self.forget()

    def _entries(self) -> Iterator[tuple[Kind, bytes, int]]:
        """Kind, content and end of each that is whole."""
        at, size = 0, os.fstat(self._fd).st_size
        while at + _HEAD.size <= size:
            magic, number, length, check = _HEAD.unpack(os.pread(self._fd, _HEAD.size, at))
            at += _HEAD.size
            if magic != _MAGIC or at + length > size:
                return
            payload = os.pread(self._fd, length, at)
            if zlib.crc32(payload, number) != check or number not in Kind.__members__.values():
                return
            at += length
            yield Kind(number), payload, at

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _unpacked(payload: bytes) -> tuple[Reached, Calls]:
    packed = array("Q")
    packed.frombytes(payload[_REACHED.size :])
    return Reached(*_REACHED.unpack_from(payload)), Calls(packed)


def _is(fd: int, path: str) -> bool:
    """Whether ``path`` still names what is open: who finished may have removed it a moment ago."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _boot() -> bytes:
    with open(_BOOT_ID, "rb") as file:
        return file.read().strip()
