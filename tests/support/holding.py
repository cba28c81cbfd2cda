"""Other programs that have an image open: qemu-io, a virtual machine, another virtkit."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OPEN = """
import sys, time
from virtkit.disk.file import File
file = File.open(sys.argv[1], writable=sys.argv[2] == "writable")
time.sleep(60)
"""


def locked_bytes(path: Path) -> set[int]:
    """Every byte of the file on which somebody has a lock, as the kernel tells."""
    inode = path.stat().st_ino
    found: set[int] = set()
    with open("/proc/locks", encoding="ascii") as lines:
        for words in map(str.split, lines):
            if words[-3].endswith(f":{inode}"):
                found.update(range(int(words[-2]), int(words[-1]) + 1))
    return found


@contextmanager
def qemu_io(path: Path, format_: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """For writing, without ``-r`` among the options."""
    with _running("qemu-io", "-f", format_, *options, "-c", "sleep 60000", path, holds=path) as process:
        yield process


@contextmanager
def machine(path: Path, format_: str, *, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """QEMU as libvirt starts it, its guest not running yet."""
    drive = f"if=virtio,file={path},format={format_}"
    with _running(
        *("qemu-system-x86_64", "-accel", "tcg", "-S", "-m", "32", "-nodefaults", "-display", "none"),
        *("-name", f"guest={name},debug-threads=on", "-drive", drive),
        holds=path,
    ) as process:
        yield process


@contextmanager
def virtkit(path: Path, *, writable: bool) -> Iterator[subprocess.Popen[bytes]]:
    with _running(sys.executable, "-c", _OPEN, path, "writable" if writable else "", holds=path) as process:
        yield process


@contextmanager
def _running(*command: str | Path, holds: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while not locked_bytes(holds):
            assert process.poll() is None, f"{command[0]} has ended"
            assert time.monotonic() < until, f"{command[0]} takes no lock"
            time.sleep(0.01)
        time.sleep(0.05)  # the other locks follow the first at once
        yield process
    finally:
        process.kill()
        process.communicate()
