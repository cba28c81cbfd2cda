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
NO_PARENT = 0xFFFF_FFFF

_PAIR = re.compile(r"([A-Za-z][\w.]*)\s*=\s*(.*)")
_EXTENT = re.compile(r'(RW|RDONLY|NOACCESS)\s+(\d+)\s+([A-Z]+)(?:\s+"([^"]*)"(?:\s+(\d+))?.*)?')


class Descriptor(NamedTuple):
    create_type: str
    cid: int  # changes with the content
    parent_cid: int | None
    parent: str | None  # parentFileNameHint
    extents: tuple[str, ...]  # kinds, as SPARSE
    pairs: Mapping[str, str]


def read(file: File, at: int, size: int) -> Descriptor:
    """The descriptor in ``size`` bytes at ``at``, ended by a zero byte or the file; CorruptImageError."""
    if size > MAX_SIZE:
        raise _corrupt(file, "descriptor size", f"{size}", f"at most {MAX_SIZE} bytes", at)
    text = file.read(at, size).split(b"\0", 1)[0].decode(errors="surrogateescape")
    pairs: dict[str, str] = {}
    extents: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        where = f"descriptor line {number}"
        stripped = line.strip()
        if extent := _EXTENT.fullmatch(stripped):
            extents.append(extent[3])
        elif stripped and not stripped.startswith("#"):
            key, value = _read_pair(file, at, where, stripped)
            if key in pairs:
                raise _corrupt(file, where, f"a second {key}", "one", at)
            pairs[key] = value
    if "createType" not in pairs:
        raise _corrupt(file, "descriptor", "without createType", 'createType="..."', at)
    parent_cid = _read_cid(file, at, pairs, "parentCID", NO_PARENT)
    parent = pairs.get("parentFileNameHint")
    return Descriptor(
        create_type=pairs["createType"],
        cid=_read_cid(file, at, pairs, "CID", 0),
        parent_cid=None if parent_cid == NO_PARENT else parent_cid,
        parent=parent or None,
        extents=tuple(extents),
        pairs=pairs,
    )


def _read_pair(file: File, at: int, where: str, line: str) -> tuple[str, str]:
    pair = _PAIR.fullmatch(line)
    if not pair:
        raise _corrupt(file, where, repr(line[:60]), "key=value or an extent", at)
    value = pair[2]
    if value.startswith('"'):
        if len(value) < 2 or value.count('"') != 2 or not value.endswith('"'):  # noqa: PLR2004  two quotation marks
            raise _corrupt(file, where, repr(line[:60]), "a quoted value", at)
        value = value[1:-1]
    return pair[1], value


def _read_cid(file: File, at: int, pairs: Mapping[str, str], key: str, missing: int) -> int:
    value = pairs.get(key)
    if value is None:
        return missing
    if not re.fullmatch(r"[0-9a-fA-F]{1,8}", value):
        raise _corrupt(file, key, repr(value[:60]), "up to eight hexadecimal digits", at)
    return int(value, 16)


def _corrupt(file: File, field: str, found: str, expected: str, offset: int) -> CorruptImageError:
    return CorruptImageError(file.name, field, found=found, expected=expected, offset=offset)
