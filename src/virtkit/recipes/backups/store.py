"""The directory of a machine's backups, and what stands in it."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError, SystemCallError, UsageError, VirtkitError

if TYPE_CHECKING:
    from collections.abc import Iterable

_NUMBER, _UNFINISHED = re.compile(r"\d{4}"), re.compile(r"\d{4}\.part")
NOTE = "point.json"


class Volume(NamedTuple):
    """One disk of a point."""

    target: str  # vda
    since: int  # the point that it stands on; 0: it is full
    why: str  # it is full although less was asked for; empty: it is as asked
    size: int  # bytes that the guest sees
    digest: str  # of its image, see ``digest``


class Point(NamedTuple):
    number: int
    taken: float  # seconds since 1970
    machine: str
    uuid: str
    state: str  # running, shut off ...
    frozen: bool  # the guest's file systems were, by its agent
    checkpoint: str  # libvirt's, that began then; empty: no disk keeps bitmaps
    volumes: tuple[Volume, ...]
    xml: str  # the machine's, for its next start, without passwords

    @property
    def kind(self) -> str:
        """full, incremental, or both: by disk."""
        return "+".join(sorted({"incremental" if volume.since else "full" for volume in self.volumes}))


def folder(target: str, number: int, *, part: bool = False) -> str:
    return os.path.join(target, f"{number:04d}{'.part' if part else ''}")


def image(target: str, number: int, disk: str) -> str:
    return os.path.join(folder(target, number), f"{disk}.qcow2")


def below(number: int, disk: str) -> str:
    """How an image names the one of ``number`` that it stands on: the directory may move as a whole."""
    return os.path.join("..", f"{number:04d}", f"{disk}.qcow2")


def points(target: str) -> tuple[Point, ...]:
    """The whole ones, oldest first. NotFoundError without the directory; UsageError for a note that is none."""
    try:
        found = sorted(name for name in os.listdir(target) if _NUMBER.fullmatch(name))
    except FileNotFoundError as error:
        raise NotFoundError(f"{target}: no such directory") from error
    except OSError as error:
        raise SystemCallError(f"read {target}", error) from error
    return tuple(_read(os.path.join(target, name, NOTE)) for name in found)


def unfinished(target: str) -> list[str]:
    """What somebody who was killed left."""
    return sorted(name for name in os.listdir(target) if _UNFINISHED.fullmatch(name))


def chosen(target: str, number: int | None) -> Point:
    """The newest, unless told. NotFoundError."""
    there = points(target)
    found = next((point for point in reversed(there) if number in (None, point.number)), None)
    if found is None:
        known = ", ".join(str(point.number) for point in there) or "none"
        raise NotFoundError(f"{target}: backup is {number or 'missing'}, expected one of {known}")
    return found


def write(point: Point, path: str) -> None:
    """With all that stands beside it, on stable storage."""
    record = {**point._asdict(), "volumes": [dict(volume._asdict()) for volume in point.volumes]}
    with open(os.path.join(path, NOTE), "w", encoding="utf-8") as file:
        json.dump(record, file, indent=1)
    sync([os.path.join(path, name) for name in os.listdir(path)])
    sync([path])


def sync(paths: Iterable[str]) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: str) -> Point:
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
        volumes = tuple(Volume(**volume) for volume in record.pop("volumes"))
        return Point(**record, volumes=volumes)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: is not there, expected one in every backup") from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{path}: is no note of a backup ({error})") from error


def remove(path: str) -> None:
    """A point, or what was to become one; nothing to do if it is gone."""
    import shutil

    with suppress(FileNotFoundError, VirtkitError):
        shutil.rmtree(path)
