"""A command that only looks must start at once: it imports what it needs and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.images import run

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {"asyncio", "inspect", "isal", "libvirt", "numpy", "pydantic", "rich", "subprocess", "yaml", "zstandard"}


def imported(folder: Path, *words: str) -> set[str]:
    """The top-level modules that the interpreter says it imported."""
    command = [sys.executable, "-X", "importtime", "-m", "virtkit", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return {name.split(".")[0] for name in re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE)}


@pytest.mark.qemu
@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vdi"])
def test_info_of_an_image_imports_nothing_heavy(kind: str, tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", kind, tmp_path / f"x.{kind}", "8M")
    if kind == "qcow2":
        run("qemu-img", "snapshot", "-c", "first", tmp_path / "x.qcow2")
    found = imported(tmp_path, "disk", "info", f"x.{kind}")
    assert "virtkit" in found
    assert not found & HEAVY


def test_the_version_imports_not_even_the_parser(tmp_path: Path) -> None:
    found = imported(tmp_path, "--version")
    assert "virtkit" in found
    assert not found & (HEAVY | {"argparse", "json"})
