"""LVM's verbs on hosts without LVM, and what is told apart before LVM is asked; the rest is tested in a guest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.typed import virtkit
from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.system import System
from virtkit.disk import lvm
from virtkit.disk.lvm import tools
from virtkit.disk.lvm.actions import CreateVolume, SnapshotVolume

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def without_lvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    return tmp_path


def test_where_lvm_is_not_installed_it_says_how_to(without_lvm: Path) -> None:
    with pytest.raises(NotSupportedError, match="lvs: LVM is not installed") as missing:
        lvm.volumes()
    assert missing.value.hint == "apt install lvm2, or dnf install lvm2"
    said = virtkit(without_lvm, "lvm", "list")
    assert (said.status, "LVM is not installed" in said.err, "apt install lvm2" in said.err) == (1, True, True)


@pytest.mark.parametrize(
    "name", ["", "vg", "vg/", "/lv", "vg/a/b", "-vg/lv", "vg/--help", "vg/a b", "../lv", "vg/..", "vg/lv\n", "/etc/x"]
)
def test_names_that_could_be_something_else_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="expected VG/LV"):
        tools.split(name)
    with pytest.raises(UsageError):
        lvm.create(name, 1 << 20)


@pytest.mark.parametrize("name", ["vg/lv", "/dev/vg/lv", "vg-0/lv.1_a+b-c"])
def test_names_are_those_of_lvm(name: str) -> None:
    group, volume = tools.split(name)
    assert f"{group}/{volume}" == name.removeprefix("/dev/")


@pytest.mark.parametrize(
    ("action", "command"),
    [
        (
            CreateVolume("vg", "disk", 8 << 20),
            "lvcreate --yes --name disk --wipesignatures y --size 8388608b vg",
        ),
        (
            CreateVolume("vg", "disk", 8 << 20, pool="pool"),
            "lvcreate --yes --name disk --virtualsize 8388608b --thinpool pool vg",
        ),
        (
            CreateVolume("vg", "pool", 8 << 20, as_pool=True),
            "lvcreate --yes --name pool --type thin-pool --size 8388608b vg",
        ),
        (
            SnapshotVolume("vg", "disk", "before", 4 << 20),
            "lvcreate --yes --snapshot --name before --size 4194304b vg/disk",
        ),
        (
            SnapshotVolume("vg", "thin", "before"),
            "lvcreate --yes --snapshot --name before --setactivationskip n vg/thin",
        ),
    ],
)
def test_what_lvm_is_asked_to_do(action: CreateVolume | SnapshotVolume, command: str) -> None:
    """These very commands run in a guest in tests/guest/test_lvm.py."""
    assert " ".join(action.command()) == command


def test_an_undo_where_lvm_has_gone_says_so(without_lvm: Path) -> None:
    with pytest.raises(NotSupportedError, match="LVM is not installed"):
        CreateVolume("vg", "disk", 8 << 20).undo(System(), None)
