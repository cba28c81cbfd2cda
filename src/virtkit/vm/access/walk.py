"""What stops a user on the way to a file: modes and POSIX ACLs, as acl(5) and path_resolution(7) have them."""

from __future__ import annotations

import errno
import os
import shlex
import stat
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.vm.access.user import User

READ, WRITE, PASS = 4, 2, 1
_WORDS = {PASS: "pass", READ: "read", WRITE: "write", READ | WRITE: "read and write"}
_LINKS = 40  # that the kernel follows on one way
_XATTR = "system.posix_acl_access"  # linux/posix_acl_xattr.h: a version, then entries of tag, permissions, id
_OWNER, _USER, _GROUP_OWNER, _GROUP, _MASK, _OTHER = 1, 2, 4, 8, 16, 32


class Entry(NamedTuple):
    tag: int
    bits: int
    id: int


class Obstacle(NamedTuple):
    path: str  # a directory on the way, or the file itself
    found: str  # "may not pass /srv (drwx------ root:root)"
    mend: str  # a command


def obstacles(system: System, user: User, path: str, need: int = 0) -> list[Obstacle]:
    """All of them, in the order of the way; ``need``: of the file itself, READ and WRITE, 0 where libvirt gives it.

    What is not there is no obstacle: that is said elsewhere. Nor is what the asker, another ordinary user, cannot see.
    """
    found = list[Obstacle]()
    for folder, wanted in [*((folder, PASS) for folder in folders(system, path)), *([(path, need)] if need else [])]:
        try:
            there = os.stat(system.path(folder))
            entries = _entries(system, folder, there.st_mode)
        except FileNotFoundError:
            break
        except OSError as error:
            if os.geteuid() not in (0, user.uid):  # we may not look where QEMU may
                return found
            # a FUSE mount shows itself to its own user alone, not even to root
            reason = (error.strerror or "").lower()
            return [*found, Obstacle(folder, f"may not look into {folder} ({reason})", "mount it with -o allow_other")]
        granted, tag = may(user, wanted, there, entries)
        if not granted:
            mend = _mend(system, user, folder, wanted, tag)
            found.append(Obstacle(folder, f"may not {_WORDS[wanted]} {_shown(folder, there)}", mend))
    return found


def folders(system: System, path: str) -> Iterator[str]:
    """Every directory that is passed on the way to ``path``, through symbolic links as well; each once."""
    seen: set[str] = set()
    ahead = [part for part in path.split("/") if part]
    here, links = "/", 0
    while ahead:
        if here not in seen:
            seen.add(here)
            yield here
        part = ahead.pop(0)
        if part in (".", ".."):
            here = here if part == "." else os.path.dirname(here)
            continue
        there = os.path.join(here, part)
        try:
            target = os.readlink(system.path(there))
        except OSError:  # no link, or not there
            here = there
            continue
        links += 1
        if links > _LINKS:
            return
        here = "/" if target.startswith("/") else here
        ahead = [each for each in target.split("/") if each] + ahead


def may(user: User, wanted: int, there: os.stat_result, entries: list[Entry]) -> tuple[bool, int]:
    """Whether ``user`` is granted all of ``wanted``, and the tag of the class that decided: the first that fits."""
    mask = next((entry.bits for entry in entries if entry.tag == _MASK), 7)
    by_tag = {entry.tag: entry.bits for entry in entries}
    if there.st_uid == user.uid:
        return not wanted & ~by_tag[_OWNER], _OWNER
    for entry in entries:
        if entry.tag == _USER and entry.id == user.uid:
            return not wanted & ~(entry.bits & mask), _USER
    mine = [entry.bits for entry in entries if entry.tag == _GROUP and entry.id in user.groups]
    mine += [by_tag[_GROUP_OWNER]] if there.st_gid in user.groups else []
    if mine:  # one group has to grant all of it
        return any(not wanted & ~(bits & mask) for bits in mine), _GROUP_OWNER
    return not wanted & ~by_tag[_OTHER], _OTHER


def _entries(system: System, path: str, mode: int) -> list[Entry]:
    """The ACL; where there is none, and where its mask is empty, the one that follows from the mode.

    With an empty mask Linux does not look at the ACL at all, whatever acl(5) says (fs/namei.c, acl_permission_check).
    """
    plain = [Entry(_OWNER, mode >> 6 & 7, 0), Entry(_GROUP_OWNER, mode >> 3 & 7, 0), Entry(_OTHER, mode & 7, 0)]
    if not mode & stat.S_IRWXG:
        return plain
    try:
        packed = os.getxattr(system.path(path), _XATTR)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return plain
        raise
    return [Entry(*fields) for fields in struct.iter_unpack("<HHI", packed[4:])]


def _shown(path: str, there: os.stat_result) -> str:
    owners = f"{_name(there.st_uid, group=False)}:{_name(there.st_gid, group=True)}"
    return f"{path} ({stat.filemode(there.st_mode)} {owners})"


def _mend(system: System, user: User, path: str, need: int, tag: int) -> str:
    """For this user alone where ACLs can, else for its class; where an ACL is there, chmod would move its mask."""
    letters = "".join(letter for bit, letter in ((READ, "r"), (WRITE, "w"), (PASS, "x")) if need & bit)
    quoted = shlex.quote(path)
    if tag == _OWNER:
        return f"chmod u+{letters} {quoted}"
    has_one = _has_acl(system, path)
    if has_one or (has_one is not None and system.exists("/usr/bin/setfacl")):
        return f"setfacl -m u:{user.name}:{letters} {quoted}"
    return f"chmod {'o' if tag == _OTHER else 'g'}+{letters} {quoted}"


def _has_acl(system: System, path: str) -> bool | None:
    """None where the file system can have none."""
    try:
        os.getxattr(system.path(path), _XATTR)
    except OSError as error:
        return False if error.errno == errno.ENODATA else None
    return True


def _name(number: int, *, group: bool) -> str:
    import grp
    import pwd

    try:
        return grp.getgrgid(number).gr_name if group else pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
