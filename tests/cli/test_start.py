"""A command that only looks must start at once: it imports what it needs and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.images import run

CHECKOUT = Path(__file__).parents[2]

HEAVY = {
    "asyncio",
    "dataclasses",
    "datetime",
    "inspect",
    "isal",
    "json",
    "libvirt",
    "locale",
    "numpy",
    "pathlib",
    "pydantic",
    "rich",
    "shutil",
    "subprocess",
    "urllib",
    "yaml",
    "zstandard",
}
OTHER_ROOMS = {"virtkit.core.engine", "virtkit.core.journal", "virtkit.core.plan", "virtkit.disk.conversion.convert"}


def imported(folder: Path, *words: str) -> set[str]:
    """The modules that the interpreter says it imported, started as ./virtkit starts it."""
    command = [sys.executable, "-I", "-S", "-X", "importtime", str(CHECKOUT / "src/virtkit/checkout.py"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))


@pytest.mark.qemu
@pytest.mark.parametrize("verb", ["info", "map", "check", "snapshot -l", "snapshot -c now", "resize -f qcow2"])
def test_a_small_verb_imports_nothing_heavy(verb: str, tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "x.qcow2", "8M")
    size = ["+1M"] if verb.startswith("resize") else []
    found = imported(tmp_path, "disk", *verb.split(), "x.qcow2", *size)
    assert "virtkit.disk.formats.qcow2.image" in found
    assert not found & (HEAVY | OTHER_ROOMS)


FOREIGN = re.compile(r"virtkit\.disk\.formats\.(vmdk|vdi|qcow|cow)\.(?!signature)")


@pytest.mark.qemu
@pytest.mark.parametrize(
    "words",
    [
        "convert -f raw x.raw y.qcow2",
        "convert x.qcow2 y.raw",
        "compare x.qcow2 z.qcow2",
        "create -f qcow2 y.qcow2 8M",
        "measure -O qcow2 x.qcow2",
    ],
)
def test_a_small_copy_imports_nothing_heavy(words: str, tmp_path: Path) -> None:
    """The other formats are asked whether a raw disk carries their signature, and nothing else."""
    for name in ("x.qcow2", "z.qcow2"):
        run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / name, "8M")
    run("truncate", "-s", "8M", tmp_path / "x.raw")
    found = imported(tmp_path, "disk", *words.split())
    assert "virtkit.disk.formats.qcow2.layout" in found
    assert not found & HEAVY
    assert not [name for name in found if FOREIGN.match(name)]


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
    assert not found & (HEAVY | {"argparse", "site"})
