"""Which processes have locks on a file, and which of them are machines. The kernel tells it in /proc alone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class Holder(NamedTuple):
    """A process that writes to an image, or lets nobody write to it."""

    pid: int
    program: str
    writes: bool
    machine: str | None = None  # name of the guest, where the program is QEMU
    directory: str | None = None  # where it is mounted, where the program is ours

    def __str__(self) -> str:
        process = f"{self.program}, PID {self.pid}"
        if self.machine:
            return f"machine {self.machine} ({process})"
        return f"the mount at {self.directory} (PID {self.pid})" if self.directory else process

    @property
    def ended_by(self) -> str:
        """The command for it; "" where that is the program's own affair."""
        if self.machine:
            return f"virtkit vm stop {self.machine}"
        return f"virtkit disk umount {self.directory}" if self.directory else ""


def of(file: os.stat_result, within: range, writing: int) -> list[Holder]:
    """Who has locks on bytes ``within`` the file; who has one on byte ``writing`` writes. In the order of their PIDs.

    Processes of other users are seen by root alone.
    """
    found = []
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        locked = {byte for lock in _locks(f"/proc/{pid}", file) for byte in within if lock[0] <= byte <= lock[1]}
        if locked:
            words = _command_line(pid)
            found.append(Holder(pid, _program(words), writing in locked, _machine(words), _directory(words)))
    return found


def _locks(process: str, file: os.stat_result) -> Iterator[tuple[int, int]]:
    """First and last byte of each lock that ``process`` has on the file."""
    for fd in _names(f"{process}/fd"):
        try:
            status = os.stat(f"{process}/fd/{fd}")
            if (status.st_dev, status.st_ino) == (file.st_dev, file.st_ino):
                yield from _told(f"{process}/fdinfo/{fd}")
        except OSError:  # closed meanwhile
            continue


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:  # the process has ended, or is not ours to look at
        return []


def _told(fdinfo: str) -> Iterator[tuple[int, int]]:
    """The lines ``lock: 1: OFDLCK ADVISORY READ -1 fe:00:2236940 100 101`` of proc_pid_fdinfo(5)."""
    with open(fdinfo, encoding="ascii") as lines:
        for line in lines:
            word, *rest = line.split()
            if word == "lock:" and rest[1] == "OFDLCK":
                yield int(rest[-2]), sys.maxsize if rest[-1] == "EOF" else int(rest[-1])


def _command_line(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0")[:-1]]
    except OSError:
        return []


def _program(words: list[str]) -> str:
    """Its name; of a Python program the script's or module's."""
    name = os.path.basename(words[0]) if words else "unknown"
    scripts = [word for word in words[1:] if not word.startswith("-")]
    if name.startswith("python") and scripts and "-c" not in words:
        return os.path.basename(scripts[0])
    return name


def _machine(words: list[str]) -> str | None:
    """``-name guest=NAME,...``, as libvirt starts QEMU; commas in NAME are doubled."""
    if "-name" not in words[:-1]:
        return None
    told = words[words.index("-name") + 1].replace(",,", "\0")
    names = [word.removeprefix("guest=") for word in told.split(",") if word.startswith("guest=")]
    return names[0].replace("\0", ",") if names else None


def _directory(words: list[str]) -> str | None:
    """``python -m virtkit.disk.mount IMAGE DIR``, as disk/mount/mounting.py starts it."""
    return words[-1] if words[1:3] == ["-m", "virtkit.disk.mount"] else None
