"""File systems of a test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.images import run

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def small_file_system(folder: Path, *, size: int) -> Iterator[Path]:
    """``folder`` has room for ``size`` bytes and no more."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder)
    try:
        yield folder
    finally:
        run("umount", folder)


@contextmanager
def plain_file_system(folder: Path) -> Iterator[Path]:
    """``folder`` is on a file system with none of the comforts that support/plainfs.py lists."""
    if not os.access("/dev/fuse", os.W_OK):
        pytest.skip("this machine mounts nothing")
    store = folder.with_name(f"{folder.name}.store")
    for made in (folder, store):
        made.mkdir()
    program = Path(__file__).with_name("plainfs.py")
    server = subprocess.Popen([sys.executable, str(program), str(store), str(folder)])
    until = time.monotonic() + 20
    while not os.path.ismount(folder):
        assert server.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        yield folder
    finally:
        run("fusermount3", "-u", folder)
        server.wait()


@contextmanager
def own_file_system(folder: Path, kind: str, *, size: int = 400 << 20) -> Iterator[Path]:
    """``folder`` is a new file system: ext4, xfs or btrfs. ``size`` in bytes is hardly any room while it is empty."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount")
    if not shutil.which(f"mkfs.{kind}"):
        pytest.skip(f"has no mkfs.{kind}")
    folder.mkdir()
    store = folder.with_name(f"{folder.name}.store")
    with store.open("wb") as file:
        file.truncate(size)
    run(f"mkfs.{kind}", "-q", store)
    run("mount", "-o", "loop", store, folder)
    try:
        yield folder
    finally:
        run("umount", folder)
        store.unlink()
