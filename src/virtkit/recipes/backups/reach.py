"""QEMU runs as a user of its own: it must be able to pass every directory down to where it writes."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError, NotSupportedError
from virtkit.core.system import is_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pwd import struct_passwd

_USERS = ("libvirt-qemu", "qemu")  # Debian's, Fedora's


def refuse_unreachable(name: str, target: str) -> None:
    """NotFoundError without the directory above ``target``, NotSupportedError where QEMU's user may not pass."""
    above = os.path.dirname(target)
    if not os.path.isdir(above):
        raise NotFoundError(f"{name}: {above} is not there", hint=f"mkdir -p {above}")
    user = _user() if is_root() else None
    if user is None:
        return
    for folder in _down_to(target):
        if os.path.isdir(folder) and not _passes(folder, user):
            mode = stat.filemode(os.stat(folder).st_mode)
            found = f"{name}: QEMU's user {user.pw_name} may not pass {folder} ({mode}), expected one that it may"
            raise NotSupportedError(found, hint=f"chmod o+x {folder}, or another directory")


def _passes(folder: str, user: struct_passwd) -> bool:
    there = os.stat(folder)
    if there.st_uid == user.pw_uid:
        return bool(there.st_mode & stat.S_IXUSR)
    if there.st_gid in os.getgrouplist(user.pw_name, user.pw_gid):
        return bool(there.st_mode & stat.S_IXGRP)
    return bool(there.st_mode & stat.S_IXOTH)


def _user() -> struct_passwd | None:
    import pwd

    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _down_to(target: str) -> Iterator[str]:
    path = "/"
    for part in os.path.realpath(target).split("/"):
        path = os.path.join(path, part)
        yield path
