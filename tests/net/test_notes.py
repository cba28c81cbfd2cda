from __future__ import annotations

import os
from typing import TYPE_CHECKING

from net.samples import address, network, route, standing
from virtkit.core.system import System
from virtkit.net import notes

if TYPE_CHECKING:
    from pathlib import Path


def _process(root: Path, pid: int, parent: int, environment: str) -> None:
    (root / f"proc/{pid}").mkdir(parents=True)
    (root / f"proc/{pid}/environ").write_text(environment)
    (root / f"proc/{pid}/status").write_text(f"Name:\tx\nPPid:\t{parent}\n")


def test_ssh_session_is_found_above_sudo(tmp_path: Path) -> None:
    _process(tmp_path, os.getpid(), 50, "PATH=/bin\0SUDO_USER=me\0")
    _process(tmp_path, 50, 40, "PATH=/bin\0")
    _process(tmp_path, 40, 1, "LANG=C\0SSH_CONNECTION=10.9.0.1 50000 10.9.0.11 22\0")
    assert notes.ssh_session(System(tmp_path)) == ("10.9.0.1", "10.9.0.11")


def test_no_session_where_nobody_came_by_ssh(tmp_path: Path) -> None:
    _process(tmp_path, os.getpid(), 1, "NOT_SSH_CONNECTION=10.9.0.1 50000 10.9.0.11 22\0")
    assert notes.ssh_session(System(tmp_path)) is None


def test_session_over_another_link_is_said_to_be_safe(tmp_path: Path) -> None:
    _process(tmp_path, os.getpid(), 1, "SSH_CONNECTION=10.5.0.1 50000 10.5.0.11 22\0")
    shown = network((address("10.9.0.11/24"), address("10.5.0.11/24", index=3)), (route("default", via="10.9.0.1"),))
    said = list(notes.about_move(System(tmp_path), shown, standing(shown).port, "br1"))
    assert any("from 10.5.0.1 does not go over eth0" in note for note in said)
    assert any("default route goes over eth0" in note for note in said)


def test_settings_of_the_link_that_do_not_move_are_named(tmp_path: Path) -> None:
    for which, value in (("eth0", "0"), ("default", "1")):
        folder = tmp_path / f"proc/sys/net/ipv4/conf/{which}"
        folder.mkdir(parents=True)
        (folder / "rp_filter").write_text(value + "\n")
    shown = network()
    said = list(notes.about_move(System(tmp_path), shown, standing(shown).port, "br0"))
    assert said == ["net.ipv4.conf.eth0.rp_filter is 0 and does not move: br0 has 1"]
