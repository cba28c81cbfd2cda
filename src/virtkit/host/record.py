"""A host in one file: what was read of it, so that the same readers read it again, elsewhere and without root.

A ``Witness`` stands for the system and notes each path that a reader asks for; ``taken`` keeps exactly those, as a
tree: a file is its text, or [text, "read-only"] if nobody may write it; a directory is an object; a link is a list of
its text. An empty directory also stands for what the kernel would not show, and for names that nobody looked behind.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from virtkit.core.directories import replacing
from virtkit.core.errors import NotFoundError, SystemCallError, UsageError
from virtkit.core.system import System
from virtkit.host.accelerator import DEVICE, api_version
from virtkit.host.cpu import CPUINFO, FIRST_CPU
from virtkit.host.kernel import LIMIT, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.plan import Json

FORMAT = "virtkit host record 1"
LARGEST = 64 << 20  # bytes of a record; a host of 256 CPUs takes about 1 MiB

READ_ONLY = "read-only"
_WRITABLE = 0o222
_HINT = "virtkit host facts --save FILE.json"
_MOST = 200_000  # files, directories and links
_HOPS = 40  # links in one path, as the kernel's own limit (man 7 path_resolution)
_DEEPEST = 64  # names in a path; those of /sys have about 25
_TARGET = re.compile(r"((?:\.\./)*)(?:(?!\.{1,2}(?:/|$))[^/\0]+(?:/|$))+")  # ../../devices/pci0000:00


@dataclass(frozen=True)
class Witness(System):
    """Reads as ``System`` does, and remembers what was asked for."""

    asked: set[str] = field(default_factory=set, compare=False)
    listed: set[str] = field(default_factory=set, compare=False)

    def path(self, absolute: str) -> Path:
        self.asked.add(absolute)
        return super().path(absolute)

    def names(self, absolute: str) -> list[str]:
        self.listed.add(absolute)
        return super().names(absolute)


def taken(witness: Witness) -> dict[str, Json]:
    """The record. Files are read once more: numbers that drift may differ from what the reader saw."""
    import time

    tree: dict[str, Json] = {}
    for absolute in sorted(witness.asked):
        place = _keep(tree, witness.root, absolute)
        if place is not None and absolute in witness.listed:
            for name in System(witness.root).names(absolute):
                place.setdefault(name, {})
    return {"format": FORMAT, "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "tree": tree}


def _keep(tree: dict[str, Json], root: Path, absolute: str, hops: int = _HOPS) -> dict[str, Json] | None:
    """Add what stands at ``absolute`` and the links on the way there; the directory in the tree, if it is one."""
    place, above = tree, list[str]()
    names = [name for name in absolute.split("/") if name]
    if ".." in names:
        raise ValueError(f"a reader asked for {absolute}: what .. is depends on links")
    for at, name in enumerate(names):
        path = root.joinpath(*above, name)
        try:
            mode = path.lstat().st_mode
            target = _target(os.readlink(path), len(above)) if stat.S_ISLNK(mode) else ""
        except OSError:
            return None
        if target:
            place[name] = [target]
            onward = os.path.normpath("/".join(["", *above, target, *names[at + 1 :]]))
            return _keep(tree, root, onward, hops - 1) if hops else None
        if not stat.S_ISDIR(mode):
            place[name] = _content(path, mode, absolute)
            return None
        place = _folder(place, name)
        above.append(name)
    return place


def _target(target: str, depth: int) -> str:
    """A link's target, relative and inside the root; empty where it cannot be kept so."""
    relative = "../" * depth + target.lstrip("/") if target.startswith("/") else target
    return relative if _stays_inside(relative, depth) else ""


def _stays_inside(target: str, depth: int) -> bool:
    """Whether a link, ``depth`` real directories below the root, climbs at most to the root, and only at first."""
    found = _TARGET.fullmatch(target)
    return found is not None and len(found[1]) <= depth * len("../")


def _folder(place: dict[str, Json], name: str) -> dict[str, Json]:
    found = place.get(name)
    if not isinstance(found, dict):
        found = place[name] = {}
    return found


def _content(path: Path, mode: int, absolute: str) -> Json:
    try:
        if absolute == DEVICE:
            return str(api_version(path)) if stat.S_ISCHR(mode) else path.read_text()
        if stat.S_ISREG(mode):
            text = read_file(path, FIRST_CPU if absolute == CPUINFO else LIMIT).decode(errors="surrogateescape")
            return text if mode & _WRITABLE else [text, READ_ONLY]
    except OSError:
        pass
    return {}


@contextmanager
def replayed(record: Json) -> Iterator[System]:
    """The recorded host as a directory, for as long as the block runs. UsageError: it is not a record."""
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UsageError(f"record of a host: format is not {FORMAT!r}", hint=_HINT)
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108  a name of our own is made in it
    with TemporaryDirectory(prefix="virtkit-host-", dir=memory) as folder:
        _put_all(record.get("tree"), Path(folder), "", depth=0)
        yield System(Path(folder))


def _put_all(tree: Json, folder: Path, absolute: str, depth: int, made: int = 0) -> int:
    """Make what a tree says in ``folder``; how much has been made by then, with the ``made`` before."""
    if not isinstance(tree, dict) or depth > _DEEPEST:
        raise UsageError(f"record of a host: {absolute or '/'} is no directory, or deeper than {_DEEPEST}")
    for name, entry in tree.items():
        path, made = f"{absolute}/{name}", made + 1
        if made > _MOST or name in {"", ".", ".."} or set(name) & {"/", "\0"}:
            raise UsageError(f"record of a host: {path[:200]!r} is no path, or one of more than {_MOST}")
        if isinstance(entry, dict):
            (folder / name).mkdir()
            made = _put_all(entry, folder / name, path, depth + 1, made)
        else:
            _put(entry, folder / name, path, depth)
    return made


def _put(entry: Json, path: Path, absolute: str, depth: int) -> None:
    match entry:
        case str():
            path.write_bytes(entry.encode(errors="surrogateescape"))
        case [str(text), mode] if mode == READ_ONLY:
            path.write_bytes(text.encode(errors="surrogateescape"))
            path.chmod(0o444)
        case [str(target)] if _stays_inside(target, depth):
            path.symlink_to(target)
        case _:
            found = repr(str(entry)[:40])
            raise UsageError(f"record of a host: {absolute} is {found}, expected a file, a directory or a link")


def save(witness: Witness, file: str) -> int:
    """Write the record of what ``witness`` saw; its size in bytes. SystemCallError."""
    import json

    content = json.dumps(taken(witness), indent=1).encode()
    try:
        with replacing(os.path.abspath(file)) as target:
            target.write(content)
    except OSError as error:
        raise SystemCallError(f"write {file}", error) from error
    return len(content)


def load(file: str) -> Json:
    """Any JSON; ``replayed`` says whether it is a record. NotFoundError, SystemCallError, UsageError."""
    import json

    try:
        with open(file, "rb") as source:
            content = source.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"{file}: no such file") from error
    except OSError as error:
        raise SystemCallError(f"read {file}", error) from error
    if len(content) > LARGEST:
        raise UsageError(f"{file}: is longer than {LARGEST} bytes, expected a record of a host")
    try:
        record: Json = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: is no JSON, expected a record of a host", hint=_HINT) from error
    return record
