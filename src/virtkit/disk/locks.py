"""QEMU's locks: who uses an image and for what, so that no two write to it and nobody reads what changes meanwhile.

As QEMU's block/file-posix.c has them, a byte of the file per permission, whatever lies there: who uses a permission
read-locks byte 100 + n, who does not grant it to others byte 200 + n; then each looks whether a lock of somebody else
contradicts. They are locks of the open file (F_OFD_SETLK, fcntl(2)): closing it releases them, a fork shares them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, SystemCallError

if TYPE_CHECKING:
    from virtkit.disk.holders import Holder

USED, DENIED = 100, 200  # RAW_LOCK_PERM_BASE, RAW_LOCK_SHARED_BASE
READ, WRITE, RESIZE = 0, 1, 3  # the bits of BLK_PERM_*, include/block/block-common.h; 2: write what is there already
_NAMES = {READ: "consistent read", WRITE: "write", RESIZE: "resize"}  # in QEMU's messages
_FLOCK = struct.Struct("hhqqi4x")  # struct flock, fcntl(2): l_type, l_whence, l_start, l_len, l_pid
_TAKEN = {errno.EAGAIN, errno.EACCES}
_NO_LOCKS = {errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}  # answers where there are none


def take(fd: int, name: str, *, writable: bool, shared: bool = False) -> None:
    """Lock the image ``name``, open as ``fd``, as qemu-img convert does: others may read it, nobody else may write.

    BusyError names who is in the way. A reader that is ``shared`` is never refused and lets others do what they want.
    A file system that knows no such locks is no obstacle. SystemCallError.
    """
    shared = shared and not writable
    uses = (READ, WRITE, RESIZE) if writable else (READ,)
    denies = () if shared else (WRITE, RESIZE)
    try:
        for byte in (*(USED + bit for bit in uses), *(DENIED + bit for bit in denies)):
            _set(fd, fcntl.F_RDLCK, byte, byte)
        trouble = "" if shared else _contradiction(fd, uses, denies)
    except OSError as error:
        if error.errno not in _TAKEN | _NO_LOCKS:
            raise SystemCallError(f"lock {name}", error) from error
        trouble = "failed to lock it" if error.errno in _TAKEN and not shared else ""
    if trouble:
        _set(fd, fcntl.F_UNLCK, USED, DENIED + RESIZE)  # it is not we who are in the way
        raise _busy(name, trouble, writable=writable)


def require_free(path: str) -> None:
    """BusyError where a process, on NFS of another host too, has the image open; SystemCallError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SystemCallError(f"open {path}", error) from error
    try:
        take(fd, path, writable=True)
    finally:
        os.close(fd)


def holders(path: str) -> list[Holder]:
    """The processes that keep others from writing to ``path``, or write to it themselves.

    Nobody where the file cannot be opened; those of other users are not seen without root.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return []
    try:
        if not _locked(fd, USED + WRITE, DENIED + RESIZE):
            return []
        status = os.fstat(fd)
    except OSError:  # no such locks here
        return []
    finally:
        os.close(fd)
    from virtkit.disk import holders as found  # only who met a lock asks whose it is

    return found.of(status, range(USED + WRITE, DENIED + RESIZE + 1), writing=USED + WRITE)


def _set(fd: int, kind: int, first: int, last: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(kind, first, last))


def _locked(fd: int, first: int, last: int) -> bool:
    """Whether another open file has a lock on any of these bytes."""
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK, first, last))
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def _request(kind: int, first: int, last: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, first, last + 1 - first, 0)


def _contradiction(fd: int, uses: tuple[int, ...], denies: tuple[int, ...]) -> str:
    """Said as QEMU says it; "" where there is none."""
    for bit in uses:
        if _locked(fd, DENIED + bit, DENIED + bit):
            return f'failed to get "{_NAMES[bit]}" lock'
    for bit in denies:
        if _locked(fd, USED + bit, USED + bit):
            return f'failed to get shared "{_NAMES[bit]}" lock'
    return ""


def _busy(name: str, trouble: str, *, writable: bool) -> BusyError:
    found = holders(name)
    who = " and ".join(map(str, found)) or "a process of another user or another host"
    return BusyError(f"{name}: is in use by {who}: {trouble}", hint=_advice(name, found, writable=writable))


def _advice(name: str, found: list[Holder], *, writable: bool) -> str:
    commands = [holder.ended_by for holder in found if holder.ended_by]
    others = ",".join(str(holder.pid) for holder in found if not holder.ended_by)
    if others:
        commands.append(f"ps -f -p {others}")
    if not found:
        commands.append(f"sudo virtkit disk info {name}")
    return "; ".join(commands) + ("" if writable else "; or -U to read it all the same")
