"""A file system without the comforts: no hard links, no files without a name, no locks, no holes made on purpose.

``python plainfs.py STORE DIR`` shows the files of STORE in DIR through FUSE until it is unmounted.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn


class Plain:
    use_ns = True

    def __init__(self, store: str) -> None:
        self._store = store

    def _at(self, path: str) -> str:
        return self._store + path

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = os.lstat(self._at(path))
        names = ("st_mode", "st_nlink", "st_size", "st_uid", "st_gid", "st_blocks")
        return {name: getattr(found, name) for name in names} | {"st_mtime": found.st_mtime_ns}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(self._at(path))]

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags & ~os.O_NONBLOCK)

    def create(self, path: str, mode: int, flags: int) -> int:
        return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        os.truncate(self._at(path), length)

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._store)
        return {name: getattr(found, name) for name in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail")}

    def unlink(self, path: str) -> None:
        os.unlink(self._at(path))

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._at(path), mode)

    def rename(self, old: str, new: str) -> None:
        os.rename(self._at(old), self._at(new))

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._at(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.chown(self._at(path), uid, gid)

    def release(self, path: str, fh: int) -> None:
        os.close(fh)

    def lock(self, path: str, fh: int, cmd: int, lock: object) -> NoReturn:
        raise OSError(errno.EOPNOTSUPP, "no locks")

    def fallocate(self, path: str, mode: int, offset: int, size: int, fh: int) -> NoReturn:
        raise OSError(errno.EOPNOTSUPP, "no room kept, none given back")


if __name__ == "__main__":
    os.environ["FUSE_LIBRARY_NAME"] = "fuse3"
    from mfusepy import FUSE

    FUSE(Plain(sys.argv[1]), sys.argv[2], foreground=True, max_idle_threads=10)
