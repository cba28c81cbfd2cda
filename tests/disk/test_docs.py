"""The examples of docs/*/disk-api.md run as they stand there."""

from __future__ import annotations

import lzma
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.images import run
from virtkit import disk

pytestmark = pytest.mark.qemu

ROOT = Path(__file__).parent.parent.parent
LANGUAGES = ("en", "zh")


def blocks(language: str) -> list[str]:
    text = (ROOT / "docs" / language / "disk-api.md").read_text(encoding="utf-8")
    return re.findall(r"^```python.*?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def server(tmp_path: Path) -> bytes:
    """server.vmdk: a GPT with two partitions, the larger one from 5 to 12 MiB; its content is the answer."""
    data = bytearray(lzma.decompress((ROOT / "tests" / "data" / "partitions" / "gpt-parted.xz").read_bytes()))
    data[6 << 20 : 7 << 20] = bytes(range(256)) * 4096
    data[(12 << 20) - 100 : 13 << 20] = b"x" * ((1 << 20) + 100)
    (tmp_path / "raw").write_bytes(data)
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", tmp_path / "raw", tmp_path / "server.vmdk")
    return bytes(data[5 << 20 : 12 << 20])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_example_copies_the_largest_partition(language: str, server: bytes, tmp_path: Path) -> None:
    (tmp_path / "extract.py").write_text(blocks(language)[1], encoding="utf-8")
    words = [sys.executable, "extract.py", "server.vmdk", "partition"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
    assert (tmp_path / "partition").read_bytes() == server
    assert (tmp_path / "partition").stat().st_blocks * 512 < len(server) // 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_example_runs(language: str, server: bytes, tmp_path: Path) -> None:
    words = [sys.executable, "-c", blocks(language)[0]]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.splitlines()[0] == str(16 << 20), done.stderr
    assert any(" data 0" in line for line in done.stdout.splitlines())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_function_that_is_named_exists(language: str) -> None:
    text = (ROOT / "docs" / language / "disk-api.md").read_text(encoding="utf-8").rpartition("##")[2]
    named = [name for name in re.findall(r"`(\w+)`", text) if name != "report"]
    assert len(named) > 15
    assert [name for name in named if not (getattr(disk, name).__doc__ or "")] == []
