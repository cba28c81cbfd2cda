"""Refusals of libvirt and QEMU in words, where no root and no libvirt is needed to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import MachineError
from virtkit.core.system import System
from virtkit.vm.access.explain import _mends, _named, _unknown
from virtkit.vm.access.walk import Obstacle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "said",
    [
        "cannot access storage file '/a b/c.qcow2' (as uid:64055, gid:64055): Permission denied (libvirt error 38)",
        (
            "internal error: process exited while connecting to monitor: qemu-system-x86_64: -blockdev "
            '{"driver":"file","filename":"x"}: Could not open \'/a b/c.qcow2\': Permission denied (libvirt error 1)'
        ),
        "cannot access backing file '/a b/c.qcow2' of storage file '/over.qcow2' (as uid:1, gid:1): Permission denied",
    ],
)
def test_the_file_is_found_in_the_refusal(said: str) -> None:
    assert _named(f"web1: {said}")[0] == "/a b/c.qcow2"


def test_one_command_mends_a_whole_way_where_it_can() -> None:
    ways = [Obstacle(path, "", f"setfacl -m u:qemu:x {path}") for path in ("/a", "/a/b")]
    assert _mends(ways) == "setfacl -m u:qemu:x /a /a/b"
    ways.append(Obstacle("/a/b/c", "", "setfacl -m u:qemu:rw /a/b/c"))
    assert _mends(ways) == "setfacl -m u:qemu:x /a && setfacl -m u:qemu:x /a/b && setfacl -m u:qemu:rw /a/b/c"


def test_nfs_is_named_and_of_anything_else_where_to_look(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text("/dev/vda / ext4 rw 0 0\nnas:/v /srv/nas nfs4 rw 0 0\n")
    refused = MachineError("web1: cannot open '/srv/nas/a': Permission denied")
    told, hint = _unknown("web1", refused, "/srv/nas/a", System(tmp_path))
    assert "root_squash" in told
    assert "on the server: chown" in hint
    told, hint = _unknown("web1", refused, "/srv/nasty/a", System(tmp_path))
    assert "root_squash" not in told
    assert "virtkit vm show web1" in hint
