from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.images import Specimen, run
from virtkit import disk
from virtkit.core.errors import UsageError, VerifyError
from virtkit.core.plan import load_action
from virtkit.core.progress import silent
from virtkit.core.system import System
from virtkit.disk.actions import Convert

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
