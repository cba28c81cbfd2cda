from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from virtkit.core.system import System
from virtkit.net import session

if TYPE_CHECKING:
    from pathlib import Path


def _process(root: Path, pid: int, parent: int, environment: str) -> None:
    (root / f"proc/{pid}").mkdir(parents=True)
    (root / f"proc/{pid}/environ").write_text(environment)
    (root / f"proc/{pid}/status").write_text(f"Name:\tx\nPPid:\t{parent}\n")


def test_session_is_found_above_sudo(tmp_path: Path) -> None:
    _process(tmp_path, os.getpid(), 50, "PATH=/bin\0SUDO_USER=me\0")
    _process(tmp_path, 50, 40, "PATH=/bin\0")
    _process(tmp_path, 40, 1, "LANG=C\0SSH_CONNECTION=10.9.0.1 50000 10.9.0.11 22\0")
    assert session.find(System(tmp_path)) == (("10.9.0.1", 50000), ("10.9.0.11", 22), "")


def test_scope_of_a_link_local_address_is_kept_apart(tmp_path: Path) -> None:
    _process(tmp_path, os.getpid(), 1, "SSH_CONNECTION=fe80::1%eth0 50000 fe80::11%eth0 22\0")
    assert session.find(System(tmp_path)) == (("fe80::1", 50000), ("fe80::11", 22), "eth0")


@pytest.mark.parametrize("environment", ["NOT_SSH_CONNECTION=a 1 b 2\0", "SSH_CONNECTION=a 1 b\0", "SSH_CONNECTION=\0"])
def test_no_session_where_nobody_came_by_ssh(tmp_path: Path, environment: str) -> None:
    _process(tmp_path, os.getpid(), 1, environment)
    assert session.find(System(tmp_path)) is None
