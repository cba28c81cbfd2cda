"""Images on backing images, made for every format that can be."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from typing import TYPE_CHECKING

from differential.histories import KINDS
from support.images import KIB, read_by_qemu, run
from virtkit import disk
from virtkit.core import plugins
from virtkit.core.errors import ImageError, NotSupportedError, UsageError
from virtkit.disk import formats
from virtkit.disk.format import Format, WritableFormat

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 300 * KIB + 3 * 512  # bytes; no multiple of any cluster
FORMATS = plugins.collect(formats, Format, "FORMAT")
OPTIONS = {(kind.format, kind.options) for kind in KINDS if not kind.finish}
WRITABLE = {name for name, kind in FORMATS.items() if isinstance(kind, WritableFormat)} - {"luks"}  # has its own tests
VARIANTS = sorted({*OPTIONS, *((name, "") for name in WRITABLE)})
ALONE = {  # have no backing images
    ("raw", ""),
    ("qcow2", "preallocation=metadata"),
    ("vdi", "static=on"),
    ("vmdk", "subformat=monolithicFlat"),
}
STACKED = [variant for variant in VARIANTS if variant not in ALONE]
COULD_NOT_CHECK = 63  # exit status of qemu-img check


def created(path: Path, format_: str, options: str, *, size: int = SIZE, backing: str = "", on: str = "raw") -> Path:
    """An image that opens for writing."""
    given = dict(pair.split("=") for pair in options.split(",")) if options else {}
    below = (backing, on) if backing else (None, None)
    disk.create(str(path), size, target_format=format_, options=given, backing=below[0], backing_format=below[1])
    disk.open(str(path), "r+", format_).close()
    return path


def ground(folder: Path, format_: str, options: str) -> str:
    """The format that its backing images may have: any, so raw; or its own alone."""
    for on in dict.fromkeys(("raw", format_)):
        laid(folder / f"ground.{on}", on, bytes(512))
        try:
            created(folder / f"probe.{on}", format_, options, backing=f"ground.{on}", on=on)
        except (ImageError, NotSupportedError, UsageError):
            continue
        return on
    raise AssertionError(f"{format_} {options} takes no backing image")


def laid(path: Path, format_: str, content: bytes) -> Path:
    """An image of that content."""
    source = path.with_name(f".{path.name}.source")
    source.write_bytes(content)
    disk.convert(str(source), str(path), source_format="raw", target_format=format_, overwrite=True)
    source.unlink()
    return path


def copied(folder: Path) -> Path:
    """All files of ``folder`` in one beside it, to be changed."""
    work = folder.with_name(folder.name + "-work")
    shutil.rmtree(work, ignore_errors=True)
    return shutil.copytree(folder, work)


def judged_by_qemu(path: Path, format_: str, content: bytes | bytearray) -> None:
    """QEMU reads the same from the image, and finds no fault with it; formats that it does not know are left out."""
    empty_qcow = format_ == "qcow" and not content  # which QEMU does not open
    if format_ not in known_to_qemu() or empty_qcow or _is_vdi_with_parent(path, format_):
        return
    assert read_by_qemu(path, format_) == content
    done = subprocess.run(["qemu-img", "check", "-f", format_, path], capture_output=True, text=True, check=False)
    assert done.returncode in {0, COULD_NOT_CHECK}, done.stdout + done.stderr


def _is_vdi_with_parent(path: Path, format_: str) -> bool:
    """QEMU refuses these."""
    return format_ == "vdi" and disk.info(str(path), format_).backing is not None


@cache
def known_to_qemu() -> frozenset[str]:
    line = next(line for line in run("qemu-img", "--help").splitlines() if line.startswith("Supported formats:"))
    return frozenset(line.split()[2:])


def read(path: Path, format_: str) -> bytes:
    with disk.open(str(path), "r", format_) as opened:
        return opened.read(0, opened.size)


def patterned(size: int, word: str) -> bytes:
    """No two sectors of it are alike."""
    return b"".join(b"%-8s%8d" % (word.encode(), index) for index in range(-(-size // 16)))[:size]
