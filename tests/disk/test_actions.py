from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from support.images import Specimen, run
from support.mounts import own_file_system
from virtkit import disk
from virtkit.core.errors import NotSupportedError, UsageError, VerifyError
from virtkit.core.plan import load_action
from virtkit.core.progress import silent
from virtkit.core.system import System
from virtkit.core.units import MIB
from virtkit.disk import reflink
from virtkit.disk.actions import Convert, Create, Reflink

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


@pytest.fixture
def step(tmp_path: Path) -> Convert:
    Specimen("vmdk").make(tmp_path)
    return Convert("/image.vmdk", "/new.qcow2", target_format="qcow2", size=8 << 20)


def test_makes_an_image_that_verifies_and_undo_removes_it(step: Convert, tmp_path: Path) -> None:
    system = System(tmp_path)
    before = step.capture(system)
    step.apply(system, silent)
    step.verify(system)
    assert disk.info(str(tmp_path / "new.qcow2")).virtual_size == 8 << 20
    assert step.capture(system) == step.capture(system) != before
    for _ in range(2):
        step.undo(system, before)
        assert not (tmp_path / "new.qcow2").exists()


def test_undo_keeps_what_was_there_before(step: Convert, tmp_path: Path) -> None:
    system = System(tmp_path)
    (tmp_path / "new.qcow2").write_text("mine")
    before = step.capture(system)
    with pytest.raises(UsageError):
        step.apply(system, silent)
    step.undo(system, before)
    assert (tmp_path / "new.qcow2").read_text() == "mine"


def test_verify_sees_a_byte_that_differs(step: Convert, tmp_path: Path) -> None:
    system = System(tmp_path)
    step.apply(system, silent)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 99 2M 512", tmp_path / "new.qcow2")
    with pytest.raises(VerifyError, match="0x200000"):
        step.verify(system)


def test_survives_the_journal(step: Convert) -> None:
    data = step.data()
    fields = data["fields"]
    assert isinstance(fields, dict)
    assert load_action("disk.convert", fields) == step


def test_an_overlay_verifies_and_undo_removes_it_and_not_what_it_stands_on(tmp_path: Path) -> None:
    system, base = System(), tmp_path / "base.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", base, "4M")
    step = Create(str(tmp_path / "top.qcow2"), 8 << 20, "qcow2", str(base), "qcow2")
    before = step.capture(system)
    step.apply(system, silent)
    step.verify(system)
    said = json.loads(run("qemu-img", "info", "--output=json", tmp_path / "top.qcow2"))
    assert (said["virtual-size"], said["full-backing-filename"]) == (8 << 20, str(base))
    for _ in range(2):
        step.undo(system, before)
        assert [path.name for path in tmp_path.iterdir()] == ["base.qcow2"]


def test_verify_sees_an_overlay_on_something_else(tmp_path: Path) -> None:
    for name in ("one", "other"):
        run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / name, "4M")
    step = Create(str(tmp_path / "top.qcow2"), None, "qcow2", str(tmp_path / "one"), "qcow2")
    step.apply(System(), silent)
    run("qemu-img", "rebase", "-u", "-F", "qcow2", "-b", tmp_path / "other", tmp_path / "top.qcow2")
    with pytest.raises(VerifyError, match="stands on .*other, expected .*one"):
        step.verify(System())


def test_where_no_blocks_are_shared_a_reflink_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with own_file_system(tmp_path / "ext4", "ext4") as folder:
        (folder / "a").write_bytes(b"x" * 65536)
        with pytest.raises(NotSupportedError, match="shares no blocks"):
            Reflink(str(folder / "a"), str(folder / "b")).apply(System(), silent)
        with pytest.raises(NotSupportedError, match="shares no blocks"):
            reflink.check(str(folder / "a"), str(folder))
        assert not (folder / "b").exists()


def test_a_reflink_is_the_same_file_again_and_takes_no_room(tmp_path: Path) -> None:
    with own_file_system(tmp_path / "xfs", "xfs") as folder:
        content = os.urandom(MIB) + b"end"
        (folder / "a").write_bytes(content)
        step = Reflink(str(folder / "a"), str(folder / "b"))
        reflink.check(step.source, str(folder))
        step.apply(System(), silent)
        step.verify(System())
        assert (folder / "b").read_bytes() == content
        assert "shared" in run("filefrag", "-v", folder / "b")
        step.undo(System(), None)
        assert not (folder / "b").exists()
