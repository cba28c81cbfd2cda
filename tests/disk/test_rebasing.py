"""What rebase refuses; tests/conformance/test_chains.py has what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.images import run
from virtkit import disk
from virtkit.core.errors import ImageError, NotFoundError, NotSupportedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """On middle, on base: all qcow2."""
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "base", "1M")
    for name, below in (("middle", "base"), ("top", "middle")):
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", "qcow2", tmp_path / name)
    return tmp_path / "top"


@pytest.mark.parametrize("below", ["top", "base"])
def test_no_circle_is_made(below: str, top: Path) -> None:
    image = top if below == "top" else top.with_name("base")
    before = image.read_bytes()
    for unsafe in (False, True) if below == "top" else (False,):
        with pytest.raises(ImageError, match=r"stands on .* itself|stand on itself"):
            disk.rebase(str(image), "top", "qcow2", unsafe=unsafe)
    assert image.read_bytes() == before


def test_a_format_that_nobody_tells_is_refused(top: Path) -> None:
    top.with_name("raw").write_bytes(bytes(512))
    with pytest.raises(UsageError, match="carries no known signature") as caught:
        disk.rebase(str(top), "raw")
    assert caught.value.hint == "-F raw"
    with pytest.raises(UsageError, match="none is given"):
        disk.rebase(str(top), None, "raw")


def test_a_backing_image_that_is_not_there_is_refused(top: Path) -> None:
    with pytest.raises(NotFoundError, match="gone"):
        disk.rebase(str(top), "gone", "raw")


def test_a_format_without_backing_images_says_so(top: Path) -> None:
    (top.with_name("raw")).write_bytes(b"x" * 512)
    with pytest.raises(NotSupportedError, match="raw disk has no backing file"):
        disk.rebase(str(top.with_name("raw")), "base", source_format="raw")
    assert top.with_name("raw").read_bytes() == b"x" * 512


def test_a_dry_run_counts_what_would_be_copied(top: Path) -> None:
    run("qemu-io", "-f", "qcow2", "-c", "write 100k 100k", top.with_name("middle"))
    before = top.read_bytes()
    assert disk.rebase(str(top), "base", dry_run=True).copied == 192 << 10
    assert disk.rebase(str(top), None, dry_run=True).copied == 192 << 10
    assert disk.rebase(str(top), "middle", dry_run=True).copied == 0
    assert top.read_bytes() == before
