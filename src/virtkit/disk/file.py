"""One open file or block device: positioned reads and writes, holes, size, shared blocks."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError, NotSupportedError, SystemCallError
from virtkit.disk import locks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self

FICLONERANGE = 0x4020940D  # _IOW(0x94, 13, struct file_clone_range), linux/fs.h
BLKZEROOUT = 0x127F  # _IO(0x12, 127), linux/fs.h
BLKDISCARD = 0x1277  # _IO(0x12, 119)
FS_IOC_UNRESVSP = 0x4030582B  # _IOW('X', 43, struct space_resv), linux/falloc.h: punch a hole, keep the size
FS_IOC_RESVSP = 0x40305828  # _IOW('X', 40, struct space_resv): reserve room, keep the size
_RESERVING = (  # file systems that write cheaper into reserved room: an ioctl that they alone answer, and its size
    (0x40046629, 4),  # EXT4_IOC_GETSTATE, _IOW('f', 41, u32), fs/ext4/ext4.h
    (0x800C581E, 12),  # XFS_IOC_DIOINFO, _IOR('X', 30, struct dioattr), xfs_fs.h
)
_PUNCH_HOLE = 0x03  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, linux/falloc.h; fallocate(2)
_NO_HOLES = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS}
_ZEROS = bytes(1 << 20)
_UNSEEN = (1 << 63) - (2 << 20)  # from here on, lseek() overflows in tmpfs and finds no data where there is some
_NOT_SHARED = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ETXTBSY, errno.EPERM}
_MOST_PARTS = 1024  # IOV_MAX, limits.h
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM}


def _space(start: int, length: int) -> bytes:
    """A ``struct space_resv`` that counts from the file's start."""
    import struct

    return struct.pack("hhqqiI4i", 0, 0, start, length, 0, 0, 0, 0, 0, 0)


def at_home(name: str) -> str:
    """``VG/LV``, as LVM's own programs take it, is /dev/VG/LV, unless a file has that name."""
    if name.count("/") != 1 or name[0] in "/." or os.path.lexists(name):
        return name
    device = f"/dev/{name}"
    try:
        return device if stat.S_ISBLK(os.stat(device).st_mode) else name
    except OSError:
        return name


class File:
    """Owns its descriptor. ``name`` is the path as the user wrote it, for messages."""

    __slots__ = ("_reserves", "fd", "name")

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self._reserves: bool | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, writable: bool = False, shared: bool = False) -> Self:
        """NotFoundError, SystemCallError; NotSupportedError for what is neither a file nor a block device.

        Until it is closed nobody else writes to it (disk/locks.py): BusyError where a running machine or another
        virtkit does already. ``shared``: read it all the same; who writes is refused always.
        """
        name = at_home(os.fspath(path))
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not hang us
        try:
            opened = cls(os.open(name, flags), name)
        except FileNotFoundError as error:
            raise NotFoundError(f"{name}: no such file") from error
        except OSError as error:
            hint = f"ls -l {name}; id" if error.errno in _FORBIDDEN else ""
            raise SystemCallError(f"open {name}", error, hint=hint) from error
        try:
            opened._require_disk()
            locks.take(opened.fd, name, writable=writable, shared=shared)
        except BaseException:
            opened.close()
            raise
        return opened

    def _require_disk(self) -> None:
        mode = os.fstat(self.fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            kind = "directory" if stat.S_ISDIR(mode) else "pipe, socket or character device"
            raise NotSupportedError(f"{self.name}: is a {kind}, expected a file or a block device")

    @property
    def size(self) -> int:
        """Bytes; of a block device too."""
        return os.lseek(self.fd, 0, os.SEEK_END)

    @property
    def allocated(self) -> int:
        """Bytes that the file takes on its file system; the whole size for a block device."""
        status = os.fstat(self.fd)
        return self.size if stat.S_ISBLK(status.st_mode) else status.st_blocks * 512

    @property
    def is_device(self) -> bool:
        return stat.S_ISBLK(os.fstat(self.fd).st_mode)

    @property
    def identity(self) -> tuple[int, int]:
        """Equal for two names of one file."""
        status = os.fstat(self.fd)
        return (status.st_rdev, -1) if stat.S_ISBLK(status.st_mode) else (status.st_dev, status.st_ino)

    def read(self, at: int, length: int) -> bytes:
        """Up to ``length`` bytes at ``at``; fewer only at the end of the file."""
        try:
            got = os.pread(self.fd, length, at)
            while len(got) < length and (more := os.pread(self.fd, length - len(got), at + len(got))):
                got += more
        except OSError as error:
            raise SystemCallError(f"{self.name}: read {length} bytes at {at:#x}", error) from error
        return got

    def read_into(self, at: int, room: memoryview) -> int:
        """Fill ``room`` from ``at`` on; fewer bytes than it holds only at the end of the file."""
        done = 0
        try:
            while done < len(room) and (got := os.preadv(self.fd, (room[done:],), at + done)):
                done += got
        except OSError as error:
            raise SystemCallError(f"{self.name}: read {len(room)} bytes at {at:#x}", error) from error
        return done

    def write(self, at: int, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        try:
            while rest:
                done = os.pwrite(self.fd, rest, at)
                rest, at = rest[done:], at + done
        except OSError as error:
            raise self._refused(f"write at {at:#x}", error) from error

    def write_parts(self, at: int, parts: Sequence[bytes | bytearray | memoryview]) -> None:
        """As ``write`` of all of them, one behind the other."""
        try:
            for first in range(0, len(parts), _MOST_PARTS):
                some = parts[first : first + _MOST_PARTS]
                size = sum(map(len, some))
                done = os.pwritev(self.fd, some, at)
                if done < size:
                    self.write(at + done, memoryview(b"".join(some))[done:])
                at += size
        except OSError as error:
            raise self._refused(f"write at {at:#x}", error) from error

    def data(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Stretches [from, to) within [start, end) that may hold something; the rest are holes."""
        while start < end:
            try:
                begin = os.lseek(self.fd, start, os.SEEK_DATA)
                if begin >= end:
                    return
                start = min(os.lseek(self.fd, begin, os.SEEK_HOLE), end)
            except OSError as error:
                if error.errno not in {errno.ENXIO, errno.EINVAL}:
                    raise SystemCallError(f"{self.name}: look for holes at {start:#x}", error) from error
                known = _UNSEEN if error.errno == errno.ENXIO else start  # EINVAL: block devices know no holes
                if end <= known:  # ENXIO: no data from here on
                    return
                begin, start = max(start, known), end
            yield begin, start

    def share(self, at: int, source: File, source_at: int, length: int) -> bool:
        """Let [at, at + length) refer to blocks of ``source``; False where the two cannot share these."""
        import struct  #  only who copies needs it

        request = struct.pack("qQQQ", source.fd, source_at, length, at)
        try:
            fcntl.ioctl(self.fd, FICLONERANGE, request)
        except OSError as error:
            if error.errno in _NOT_SHARED:
                return False
            raise self._refused(f"share {length} bytes at {at:#x}", error) from error
        return True

    def resize(self, size: int) -> None:
        try:
            os.ftruncate(self.fd, size)
        except OSError as error:
            raise self._refused(f"resize to {size} bytes", error) from error

    def zero(self, start: int, length: int) -> None:
        """Make a stretch read as zeros: a hole within a file, what its driver decides on a block device."""
        if not length:
            return
        import struct

        try:
            if self.is_device:
                fcntl.ioctl(self.fd, BLKZEROOUT, struct.pack("QQ", start, length))
            else:
                fcntl.ioctl(self.fd, FS_IOC_UNRESVSP, _space(start, length))
        except OSError as error:
            if error.errno not in _NO_HOLES:
                raise self._refused(f"write zeros at {start:#x}", error) from error
            self._write_zeros(start, length)

    def _write_zeros(self, start: int, length: int) -> None:
        """Within the file: as a hole, which never makes it longer."""
        end = min(start + length, self.size)
        while start < end:
            step = min(end - start, len(_ZEROS))
            self.write(start, _ZEROS[:step])
            start += step

    def discard(self, start: int, length: int) -> None:
        """Give back the room of a stretch where that can be done; what it reads as then is not promised."""
        if not length:
            return
        import struct

        try:
            if self.is_device:
                fcntl.ioctl(self.fd, BLKDISCARD, struct.pack("QQ", start, length))
            else:
                fcntl.ioctl(self.fd, FS_IOC_UNRESVSP, _space(start, length))
        except OSError as error:
            if error.errno not in _NO_HOLES:
                raise self._refused(f"discard at {start:#x}", error) from error

    def punch(self, start: int, length: int) -> bool:
        """Zeros that take no room, also on a block device whose driver can do that; False: nothing was changed."""
        import ctypes  # the kernel has no ioctl for this, and os no function

        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
        if not length or not fallocate(self.fd, _PUNCH_HOLE, ctypes.c_int64(start), ctypes.c_int64(length)):
            return True
        error = OSError(number := ctypes.get_errno(), os.strerror(number))
        if number not in _NO_HOLES:
            raise self._refused(f"discard at {start:#x}", error)
        return False

    def allocate(self, start: int, length: int) -> None:
        """Reserve room on the file system; holes in the stretch become zeros that take space, data stays."""
        try:
            os.posix_fallocate(self.fd, start, length)
        except OSError as error:
            raise self._refused(f"allocate {length} bytes at {start:#x}", error) from error

    def reserve(self, start: int, length: int) -> None:
        """Take room for bytes that are written next, where that makes writing them cheaper; the size stays.

        ext4 then finds the place of all blocks at once, instead of setting one aside for each: half the time of a
        copy, and the data reach the disk sooner too. On others, and where there is no room, nothing happens.
        """
        if self._reserves is None:
            self._reserves = any(self._answers(request, size) for request, size in _RESERVING)
        if self._reserves:
            with suppress(OSError):
                fcntl.ioctl(self.fd, FS_IOC_RESVSP, _space(start, length))

    def _answers(self, request: int, size: int) -> bool:
        try:
            fcntl.ioctl(self.fd, request, bytes(size))
        except OSError:
            return False
        return True

    def sync_data(self) -> None:
        """As ``sync``, for bytes within the size that the file has: a barrier between writes."""
        try:
            os.fdatasync(self.fd)
        except OSError as error:
            raise self._refused("sync", error) from error

    def sync(self) -> None:
        """Return when everything written is on stable storage."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise self._refused("sync", error) from error

    def close(self) -> None:
        os.close(self.fd)

    def _refused(self, doing: str, error: OSError) -> SystemCallError:
        hint = f"df -h {os.path.dirname(self.name) or '.'}" if error.errno in _FULL else ""
        return SystemCallError(f"{self.name}: {doing}", error, hint=hint)
