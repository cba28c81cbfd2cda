"""Images on backing images, made for every format that can be."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from differential.histories import KINDS
from support.images import KIB, read_by_qemu, run
from virtkit import disk
from virtkit.core import plugins
from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.disk import formats
from virtkit.disk.format import Format, WritableFormat

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 300 * KIB + 3 * 512  # bytes; no multiple of any cluster
FORMATS = plugins.collect(formats, Format, "FORMAT")
OPTIONS = {(kind.format, kind.options) for kind in KINDS if not kind.finish}
VARIANTS = sorted({*OPTIONS, *((name, "") for name, kind in FORMATS.items() if isinstance(kind, WritableFormat))})
COULD_NOT_CHECK = 63  # exit status of qemu-img check


def created(path: Path, format_: str, options: str, *, size: int = SIZE, backing: str = "", on: str = "raw") -> Path:
    """An image that opens for writing; skipped where the format cannot be made so, or has no backing files."""
    given = dict(pair.split("=") for pair in options.split(",")) if options else {}
    try:
        disk.create(
            str(path),
            size,
            target_format=format_,
            options=given,
            backing=backing or None,
            backing_format=on if backing else None,
        )
        disk.open(str(path), "r+", format_).close()
    except (NotSupportedError, UsageError) as error:
        pytest.skip(error.message)
    return path


def copied(folder: Path) -> Path:
    """All files of ``folder`` in one beside it, to be changed."""
    work = folder.with_name(folder.name + "-work")
    shutil.rmtree(work, ignore_errors=True)
    return shutil.copytree(folder, work)


def judged_by_qemu(path: Path, format_: str, content: bytes | bytearray) -> None:
    """QEMU reads the same from the image, and finds no fault with it; formats that it does not know are left out."""
    if format_ not in known_to_qemu():
        return
    assert read_by_qemu(path, format_) == content
    done = subprocess.run(["qemu-img", "check", "-f", format_, path], capture_output=True, text=True, check=False)
    assert done.returncode in {0, COULD_NOT_CHECK}, done.stdout + done.stderr


def known_to_qemu() -> set[str]:
    line = next(line for line in run("qemu-img", "--help").splitlines() if line.startswith("Supported formats:"))
    return set(line.split()[2:])


def read(path: Path, format_: str) -> bytes:
    with disk.open(str(path), "r", format_) as opened:
        return opened.read(0, opened.size)


def patterned(size: int, word: str) -> bytes:
    """No two sectors of it are alike."""
    return b"".join(b"%-8s%8d" % (word.encode(), index) for index in range(-(-size // 16)))[:size]
