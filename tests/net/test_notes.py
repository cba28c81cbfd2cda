from __future__ import annotations

import os
from typing import TYPE_CHECKING

from net.samples import address, network, route, standing
from virtkit.core.system import System
from virtkit.net import notes

if TYPE_CHECKING:
    from pathlib import Path


def _session(root: Path, connection: str) -> None:
    (root / f"proc/{os.getpid()}").mkdir(parents=True)
    (root / f"proc/{os.getpid()}/environ").write_text(f"SSH_CONNECTION={connection}\0")


def test_session_over_another_link_is_said_to_be_safe(tmp_path: Path) -> None:
    _session(tmp_path, "10.5.0.1 50000 10.5.0.11 22")
    shown = network((address("10.9.0.11/24"), address("10.5.0.11/24", index=3)), (route("default", via="10.9.0.1"),))
    said = list(notes.about_move(System(tmp_path), shown, standing(shown).port, "br1"))
    assert any("from 10.5.0.1 does not go over eth0: it is not at risk" in note for note in said)
    assert any("default route goes over eth0" in note for note in said)


def test_session_over_a_link_local_address_is_said_to_end(tmp_path: Path) -> None:
    """The kernel's own address of the port does not move, and a port of a bridge hears nothing."""
    _session(tmp_path, "fe80::1%eth0 50000 fe80::11%eth0 22")
    shown = network((address("10.9.0.11/24"),))
    (_, said, *_) = notes.about_move(System(tmp_path), shown, standing(shown).port, "br0")
    assert said.startswith("your SSH session from fe80::1 uses the link-local address of eth0, which does not move")
