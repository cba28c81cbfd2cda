from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.images import run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """8 MiB whose second half holds data."""
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 4M 4M", path)
    return path
