"""The archive that the kernel unpacks as its first file system.

Format "newc" (magic 070701) as the kernel reads it: Documentation/driver-api/early-userspace/buffer-format.rst.
The same members always give the same bytes: no clock, no owner and no inode of this machine goes in.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import round_up

if TYPE_CHECKING:
    from collections.abc import Iterable

ALIGNMENT = 4  # bytes; names and contents are padded to it
ARCHIVE_UNIT = 512  # bytes; the archive's end is padded to it, as cpio -H newc does
TRAILER = "TRAILER!!!"


class Member(NamedTuple):
    path: str  # without a slash in front
    mode: int  # type and permissions, as in stat
    content: bytes = b""  # of a symbolic link: where it points


def directory(path: str) -> Member:
    return Member(path, stat.S_IFDIR | 0o755)


def file(path: str, content: bytes, *, executable: bool = False) -> Member:
    return Member(path, stat.S_IFREG | (0o755 if executable else 0o644), content)


def link(path: str, target: str) -> Member:
    return Member(path, stat.S_IFLNK | 0o777, target.encode())


def archive(members: Iterable[Member]) -> bytes:
    """Members sorted by path, so that a directory stands before what is in it; missing directories are added."""
    named = {member.path: member for member in members}
    missing = {parent for path in named for parent in _parents(path)} - named.keys()
    named |= {path: directory(path) for path in missing}
    packed = b"".join(_pack(named[path], number) for number, path in enumerate(sorted(named), 1))
    whole = packed + _pack(Member(TRAILER, 0), 0)
    return whole.ljust(round_up(len(whole), ARCHIVE_UNIT), b"\0")


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _pack(member: Member, number: int) -> bytes:
    name = member.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(member.mode) else 1
    owner = group = changed = device_major = device_minor = node_major = node_minor = checksum = 0
    numbers = (
        *(number, member.mode, owner, group, links, changed, len(member.content)),
        *(device_major, device_minor, node_major, node_minor, len(name), checksum),
    )
    header = b"070701" + b"".join(b"%08X" % value for value in numbers)
    return _padded(header + name) + _padded(member.content)


def _padded(data: bytes) -> bytes:
    return data.ljust(round_up(len(data), ALIGNMENT), b"\0")
