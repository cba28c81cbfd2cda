"""``--resume``: a conversion that is broken off leaves what is done beside its target, and the next call goes on there.

Left are the new image's files without headers, under hidden names, and a record. A writer is a function of what it is
asked: the record asks a fresh one the same again, and it lays out the same image, while nothing is read or written.
That holds where the request and the sources are the same; so the record knows both.
"""

from __future__ import annotations

import os
import shlex
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from virtkit import __version__
from virtkit.core.errors import ConflictError, NotSupportedError, UsageError, VerifyError
from virtkit.disk.conversion.keeping import Keeper
from virtkit.disk.conversion.record import Record
from virtkit.disk.conversion.salvage import Salvage
from virtkit.disk.conversion.taken_up import TakenUp
from virtkit.disk.copying.copy import Amount
from virtkit.disk.file import File, at_home
from virtkit.disk.nameless import Part, hidden
from virtkit.disk.newfile import NewFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.plan import Json
    from virtkit.disk.conversion.order import Design, Order
    from virtkit.disk.copying.source import Source

_FOUND = "found"  # in the record's order: what was found when the work began; it is not found anew
_NAMES = {  # in the record's order: the flag that says it
    "format": "-O",
    "size": "the disk's size",
    "options": "-o",
    "level": "--level",
    "sparse": "-S",
    "snapshot": "-l",
    "salvage": "--salvage",
    "backing": "-B",
}


class Unfinished(NamedTuple):
    """What an interrupted conversion left. Bytes."""

    done: int
    total: int
    files: tuple[str, ...]  # to remove, where nobody goes on


class Kept(NamedTuple):
    """A conversion under way."""

    new: NewFile
    keeper: Keeper
    record: Record
    told: dict[str, Json]

    def found(self) -> tuple[Amount, bool] | None:
        """What there is to move, and whether blocks are shared; None when the work begins."""
        found = (self.record.order or {}).get(_FOUND)
        if not isinstance(found, list):
            return None
        plain, coded, room, share = (int(str(number)) for number in found)
        return Amount(plain, coded, room), bool(share)

    def begin(self, amount: Amount, *, share: bool) -> None:
        """Once, before the first byte is written."""
        if self.record.order is None:
            self.record.begin({**self.told, _FOUND: [amount.plain, amount.coded, amount.room, int(share)]})


def check(source: Source, wanted: Order) -> None:
    """NotSupportedError where nothing could be taken up, or nobody could tell whether it may be."""
    if wanted.existing:
        raise NotSupportedError("--resume: an image that exists is written again from its start", hint="leave -n out")
    if wanted.snapshots:
        raise NotSupportedError("--resume: not with --snapshots, whose states are written one over the other")
    if wanted.secret is not None:
        raise NotSupportedError("--resume: not for an encrypted image: each attempt makes a key of its own")
    if _is_device(at_home(wanted.target)):
        raise NotSupportedError(
            f"--resume: {wanted.target} is a block device, which has no room for a record beside it"
        )
    devices = [file.name for layer in source.layers for file in layer.image.files if file.is_device]
    if devices and not wanted.verify:
        why = "is a block device, which does not tell whether it was written to meanwhile"
        raise NotSupportedError(f"--resume: {devices[0]} {why}", hint="add --verify: all is read back at the end")


@contextmanager
def kept(source: Source, design: Design) -> Iterator[Kept]:
    """BusyError where another process is at it; UsageError, ConflictError where the request or a source differs.

    Left with an error, what is done stays; where that is nothing, or is wrong, nothing stays.
    """
    wanted = design.wanted
    path = os.path.realpath(at_home(wanted.target))
    told = _told(source, design)
    with Record(_record(path)) as record:
        if not os.path.exists(_part(path)):
            record.forget()
        if record.order is not None:
            _require_same(record, told, wanted.target)
        try:
            with _opened(record, wanted) as new:
                yield from _guarded(Kept(new, Keeper(record, new, source), record, told))
        except BaseException as error:
            if not _is_worth(record, error):
                record.remove()
            raise
        record.remove()


def _opened(record: Record, wanted: Order) -> NewFile:
    goes_on = record.order is not None
    return NewFile(wanted.target, overwrite=wanted.overwrite, part=Part(goes_on, TakenUp if goes_on else File))


def _guarded(work: Kept) -> Iterator[Kept]:
    try:
        yield work
        work.keeper.rest()
    except BaseException as error:
        work.keeper.stop()
        if _is_worth(work.record, error):
            work.new.keep()
        raise


def _is_worth(record: Record, error: BaseException) -> bool:
    """Whether what is there is to be kept: there is something, and it is right."""
    return record.reached.disk > 0 and not isinstance(error, VerifyError)


def unfinished(target: str) -> Unfinished | None:
    """What ``convert(..., resume=True)`` left when it was interrupted; None: nothing. BusyError while it works."""
    path = os.path.realpath(at_home(target))
    if not os.path.exists(_record(path)) or not os.path.exists(_part(path)):
        return None
    with Record(_record(path)) as record:
        if record.order is None:
            return None
        found = record.order.get(_FOUND)
        total = sum(int(str(number)) for number in found[:2]) if isinstance(found, list) else 0
        return Unfinished(record.reached.moved, total, _files(path, record))


def _files(path: str, record: Record) -> tuple[str, ...]:
    folder = os.path.dirname(path)
    beside = (os.path.join(folder, hidden(name)) for name in record.files)
    return (_part(path), *beside, _record(path))


def _part(path: str) -> str:
    return os.path.join(os.path.dirname(path), hidden(os.path.basename(path)))


def _record(path: str) -> str:
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.virtkit-record")


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False


def _told(source: Source, design: Design) -> dict[str, Json]:
    """All on which the new image's bytes depend."""
    wanted = design.wanted
    below = design.below.layers if design.below else ()
    options: list[Json] = [f"{name}={value}" for name, value in sorted(wanted.options.items())]
    sources: list[Json] = [_identity(file) for layer in source.layers for file in layer.image.files]
    stands_on: list[Json] = [_identity(file) for layer in below for file in layer.image.files]
    return {
        "virtkit": __version__,
        "format": wanted.format,
        "size": wanted.size,
        "options": options,
        "level": wanted.level,
        "sparse": wanted.sparse,
        "snapshot": wanted.snapshot,
        "salvage": isinstance(source, Salvage),
        "backing": list(wanted.backing) if wanted.backing else None,
        "sources": sources,
        "below": stands_on,
    }


def _identity(file: File) -> list[Json]:
    """Without the number of the device, which may be another one after the next boot."""
    status = os.fstat(file.fd)
    return [os.path.realpath(file.name), status.st_ino, file.size, status.st_mtime_ns, status.st_ctime_ns]


def _require_same(record: Record, told: dict[str, Json], target: str) -> None:
    before = record.order or {}
    files = _files(os.path.realpath(at_home(target)), record)
    hint = f"rm {shlex.join(files)}; then it starts anew"
    for key in ("sources", "below"):
        if changed := [one for one in _rows(told[key]) if one not in _rows(before.get(key))]:
            raise ConflictError(f"{changed[0][0]}: is another file or has changed since {target} was begun", hint=hint)
        if len(_rows(told[key])) != len(_rows(before.get(key))):
            raise UsageError(f"{target}: was begun from other images", hint=hint)
    for key, name in _NAMES.items():
        if told[key] != before.get(key):
            was = f"and was {_shown(before.get(key))} when this was begun"
            raise UsageError(f"{target}: {name} is {_shown(told[key])}, {was}", hint=hint)
    if told["virtkit"] != before.get("virtkit"):
        raise ConflictError(f"{target}: was begun by virtkit {before.get('virtkit')}, this is {__version__}", hint=hint)


def _rows(value: Json) -> list[list[Json]]:
    return [row for row in value if isinstance(row, list)] if isinstance(value, list) else []


def _shown(value: Json) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "not given"
    return "not given" if value is None or value is False else "given" if value is True else str(value)
