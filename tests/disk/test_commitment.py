"""commit where the image itself need not be written; tests/conformance/test_chains.py has the rest."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from support.images import KIB, MIB, run
from support.layers import patterned
from virtkit import disk
from virtkit.core.errors import NotFoundError, NotSupportedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A qcow2 image of 2 MiB on another one on a raw disk of 1 MiB."""
    (tmp_path / "base").write_bytes(patterned(MIB, "base"))
    for name, below, kind in (("middle", "base", "raw"), ("top", "middle", "qcow2")):
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", kind, tmp_path / name, "2M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 64k 64k", "-c", "write -z 256k 64k", tmp_path / "middle")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 2 100k 1k", "-c", "write -P 3 1900k 100k", tmp_path / "top")
    return tmp_path / "top"


def test_a_deeper_base_becomes_what_qemu_would_make_of_it(top: Path, tmp_path: Path) -> None:
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", top, tmp_path / "wanted")
    before = [top.read_bytes(), top.with_name("middle").read_bytes()]
    done = disk.commit(str(top), "base")
    assert (done.moved, done.zeroed, done.grown_from, done.emptied) == (64 * KIB + 192 * KIB, 64 * KIB, MIB, False)
    assert (tmp_path / "base").read_bytes() == (tmp_path / "wanted").read_bytes()
    assert [top.read_bytes(), top.with_name("middle").read_bytes()] == before


def test_a_dry_run_says_what_would_be_written(top: Path) -> None:
    before = top.with_name("base").read_bytes()
    assert disk.commit(str(top), "base", dry_run=True).grown_from == MIB
    assert top.with_name("base").read_bytes() == before


@pytest.mark.parametrize("base", ["top", "other", "gone"])
def test_a_base_that_is_not_below_is_refused(base: str, top: Path) -> None:
    top.with_name("other").write_bytes(bytes(512))
    with pytest.raises(NotFoundError, match="expected one of its backing files: .*middle, .*base"):
        disk.commit(str(top), base)


def test_an_image_on_nothing_has_nothing_to_commit_into(tmp_path: Path) -> None:
    (tmp_path / "alone").write_bytes(bytes(512))
    with pytest.raises(NotFoundError, match="no backing file"):
        disk.commit(str(tmp_path / "alone"), source_format="raw")


def test_a_base_that_cannot_be_written_in_place_is_left_alone(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=streamOptimized", tmp_path / "base.vmdk", "1M")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.vmdk", "-F", "vmdk", tmp_path / "top")
    run("qemu-io", "-f", "qcow2", "-c", "write 0 64k", tmp_path / "top")
    before = (tmp_path / "base.vmdk").read_bytes()
    with pytest.raises(NotSupportedError, match=r"base\.vmdk"):
        disk.commit(str(tmp_path / "top"), drop=True)
    assert (tmp_path / "base.vmdk").read_bytes() == before


def test_a_rate_is_kept(top: Path) -> None:
    began = time.monotonic()
    disk.commit(str(top), "base", rate=512 * KIB)
    assert time.monotonic() - began >= 0.5
    with pytest.raises(UsageError, match="bytes a second"):
        disk.commit(str(top), "base", rate=-1)


def test_a_hole_of_the_overlay_s_file_takes_no_room_in_the_base(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(patterned(MIB, "base"))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", tmp_path / "top", "64M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 8M 64k", tmp_path / "top")
    run("qemu-img", "rebase", "-u", "-b", "base", "-F", "raw", tmp_path / "top")
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", tmp_path / "top", tmp_path / "wanted")
    disk.commit(str(tmp_path / "top"), drop=True)
    assert (tmp_path / "base").read_bytes() == (tmp_path / "wanted").read_bytes()
    assert (tmp_path / "base").stat().st_blocks * 512 < 4 * MIB
