from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from support.images import MIB, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def loop_device(tmp_path: Path) -> Iterator[str]:
    """A block device of 8 MiB, full of the letter s."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a loop device")
    store = tmp_path / "store"
    store.write_bytes(b"s" * 8 * MIB)
    device = run("losetup", "--find", "--show", store).strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)
