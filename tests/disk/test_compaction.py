"""What compact takes of this machine; what it does to images is in tests/conformance."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from virtkit import disk

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
PROGRAM = """
import sys
from virtkit import disk
print(disk.compact(sys.argv[1]).zeros)
with open("/proc/self/status") as status:  # ru_maxrss would be the peak of the process that started us, too
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def test_blocks_larger_than_memory_may_be_are_looked_through(tmp_path: Path) -> None:
    """Three of 128 MiB: the last byte of one, none of the next and the first of the last are not zeros."""
    source, made = tmp_path / "source.raw", tmp_path / "made.vdi"
    with source.open("wb") as file:
        file.seek(128 * MIB - 1)
        file.write(b"x")
        file.seek(256 * MIB)
        file.write(b"y" + bytes(511))
    disk.convert(str(source), str(made), source_format="raw", options={"block_size": "128M"}, sparse=0)
    full = made.stat().st_blocks * 512
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(made)], capture_output=True, text=True, check=True)
    zeros, peak = map(int, done.stdout.split())
    assert zeros == 128 * MIB
    assert made.stat().st_blocks * 512 <= full - zeros
    assert peak << 10 < 64 * MIB
    with disk.open(str(made)) as compacted:
        assert [compacted.read(at, 1) for at in (128 * MIB - 1, 128 * MIB, 256 * MIB)] == [b"x", b"\0", b"y"]
        assert compacted.size == source.stat().st_size
    assert disk.compare(str(source), str(made), left_format="raw").same_content
