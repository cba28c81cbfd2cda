"""The descriptor of a VMDK: the lines of text that say what kind of disk it is and what it builds upon.

Specification: VMware, Virtual Disk Format 5.0, "The Descriptor File".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.disk.file import File

MAX_SIZE = MIB  # bytes; VMware's own have 20 sectors, a split disk's name every extent
MAX_SECTORS = 1 << 54  # of the whole disk; 2**63 bytes
NO_PARENT = 0xFFFF_FFFF

_PAIR = re.compile(r"([A-Za-z][\w.:-]*)\s*=\s*(.*)")
_EXTENT = re.compile(r'(RW|RDONLY|NOACCESS)\s+(-?\d+)\s+([A-Z]+)(?:\s+"([^"]*)"(?:\s+(-?\d+))?.*)?')
_DIGITS = 19  # of a number of sectors: more do not fit 64 bits
_SINGLE = ("version", "CID", "parentCID", "createType", "parentFileNameHint")  # two that differ are no accident


class Line(NamedTuple):
    """One extent: ``sectors`` of the disk that are in a file of their own, or nowhere (ZERO)."""

    access: str  # RW, RDONLY, NOACCESS
    sectors: int
    kind: str  # as SPARSE
    name: str = ""  # of the file, as written
    offset: int | None = None  # sectors; where the data begin in the file
    number: int = 0  # of the line, from 1


class Descriptor(NamedTuple):
    create_type: str
    cid: int  # changes with the content
    parent_cid: int | None
    parent: str | None  # parentFileNameHint
    extents: tuple[Line, ...]
    pairs: Mapping[str, str]
    text: str = ""  # as it stands in the file
    at: int = 0  # bytes; where it stands
    room: int = MAX_SIZE  # bytes that it may have there

    @property
    def sectors(self) -> int:
        return sum(line.sectors for line in self.extents)


def read(file: File, at: int, size: int) -> Descriptor:
    """The descriptor in ``size`` bytes at ``at``, ended by a zero byte or the file; CorruptImageError."""
    if size > MAX_SIZE:
        raise _corrupt(file, "descriptor size", f"{size}", f"at most {MAX_SIZE} bytes", at)
    text = file.read(at, size).split(b"\0", 1)[0].decode(errors="surrogateescape")
    return parse(text, file, at, size)


def parse(text: str, file: File, at: int = 0, room: int = MAX_SIZE) -> Descriptor:
    """``text`` stands at byte ``at`` of ``file``, where ``room`` bytes are kept for it; CorruptImageError."""
    pairs: dict[str, str] = {}
    extents: list[Line] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        stripped = line.strip()
        if extent := _EXTENT.fullmatch(stripped):
            extents.append(_read_extent(file, at, extent, number))
        elif stripped and not stripped.startswith("#"):
            _keep_pair(file, at, f"descriptor line {number}", stripped, pairs)
    if "createType" not in pairs:
        raise _corrupt(file, "descriptor", "without createType", 'createType="..."', at)
    parent_cid = _read_cid(file, at, pairs, "parentCID", NO_PARENT)
    found = Descriptor(
        create_type=pairs["createType"],
        cid=_read_cid(file, at, pairs, "CID", 0),
        parent_cid=None if parent_cid == NO_PARENT else parent_cid,
        parent=pairs.get("parentFileNameHint") or None,
        extents=tuple(extents),
        pairs=pairs,
        text=text,
        at=at,
        room=room,
    )
    if found.sectors >= MAX_SECTORS:
        raise _corrupt(file, "disk size", f"{found.sectors} sectors", "less than 2**54", at)
    return found


def _read_extent(file: File, at: int, found: re.Match[str], number: int) -> Line:
    access, sectors, kind, name, offset = found.groups()
    where = f"extent of descriptor line {number}"
    for value in (sectors, offset or "0"):
        if value.startswith("-") or len(value) > _DIGITS:
            raise _corrupt(file, where, f"{value[:60]} sectors", "a number of sectors", at)
    return Line(access, int(sectors), kind, name or "", int(offset) if offset else None, number)


def _keep_pair(file: File, at: int, where: str, line: str, pairs: dict[str, str]) -> None:
    """The first of several counts, as for QEMU; VMware and VirtualBox repeat keys of the disk data base."""
    pair = _PAIR.fullmatch(line)
    if not pair:
        raise _corrupt(file, where, repr(line[:60]), "key=value or an extent", at)
    key, value = pair[1], pair[2].strip()
    if value.startswith('"'):
        quoted = len(value) > 1 and value.endswith('"')
        if not quoted or (key in _SINGLE and value.count('"') != 2):  # noqa: PLR2004  two quotation marks
            raise _corrupt(file, where, repr(line[:60]), "a quoted value", at)
        value = value[1:-1]
    if key in _SINGLE and pairs.get(key, value) != value:
        raise _corrupt(file, where, f"a second {key}", "one", at)
    pairs.setdefault(key, value)


def _read_cid(file: File, at: int, pairs: Mapping[str, str], key: str, missing: int) -> int:
    value = pairs.get(key)
    if value is None:
        return missing
    if not re.fullmatch(r"[0-9a-fA-F]{1,8}", value):
        raise _corrupt(file, key, repr(value[:60]), "up to eight hexadecimal digits", at)
    return int(value, 16)


def _corrupt(file: File, field: str, found: str, expected: str, offset: int) -> CorruptImageError:
    return CorruptImageError(file.name, field, found=found, expected=expected, offset=offset)
