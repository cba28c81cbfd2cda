"""Ctrl-C ends work at once, whatever it is at: counted in what is still read and written, not by a clock."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.depth import deep

MIB = 1 << 20
DRIVER = Path(__file__).with_name("cancelling.py")
KEPT = {"resume": 2}  # files that are left on purpose


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "source.raw"
    path.write_bytes(random.Random(1).randbytes(4 * MIB) * 16)
    shutil.copyfile(path, f"{path}.copy")
    return path


def run(number: int, source: Path, folder: Path, what: str) -> tuple[str, int]:
    """``done`` and all calls, or ``interrupted`` and those behind the signal."""
    words = [str(number), str(source), str(folder / "new.qcow2"), what]
    done = subprocess.run([sys.executable, str(DRIVER), *words], capture_output=True, text=True, check=True, timeout=60)
    word, calls = done.stdout.split()
    return word, int(calls)


@pytest.mark.parametrize("what", ["convert", "compress", "verify", "resume", "compare"])
def test_nearly_nothing_is_read_or_written_after_the_signal(what: str, source: Path, tmp_path: Path) -> None:
    word, calls = run(0, source, tmp_path, what)
    assert word == "done"
    (tmp_path / "new.qcow2").unlink(missing_ok=True)
    for number in random.Random(what).choices(range(1, calls // 3), k=deep(3)):
        word, rest = run(number, source, tmp_path, what)
        assert word == "interrupted", number
        assert rest < calls // 3, number
        assert len(os.listdir(tmp_path)) <= KEPT.get(what, 0), number
        for left in tmp_path.iterdir():
            left.unlink()
