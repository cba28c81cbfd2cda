"""File systems of a test's own."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from support.images import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
