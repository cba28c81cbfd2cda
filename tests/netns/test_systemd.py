"""Where systemd starts the host, the guardian is a service of its own, and the next boot puts back what was open."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from netns import picture
from netns.lab import settle
from netns.systemd import booted, child
from support.guarded import until
from virtkit.core.deadman.switch import Switch
from virtkit.core.journal import Journal

if TYPE_CHECKING:
    from netns.lab import Lab
    from virtkit.core.change import Change

pytestmark = pytest.mark.netns

VIRTKIT = (sys.executable, "-m", "virtkit")
CREATE = (*VIRTKIT, "net", "bridge", "create", "br0", "--port", "eth0", "-y")
SERVICE = "virtkit-guardian-1.service"


def _change(lab: Lab) -> Change:
    return Journal(lab.state / "journal").change(1)


def _waits(lab: Lab) -> bool:
    return (lab.state / "journal/1.switch").exists() and _change(lab).waiting is not None


def _shown(inside: list[str], what: str) -> str:
    command = [*inside, "systemctl", "show", "--value", "-p", what, SERVICE]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _guardians(lab: Lab) -> list[int]:
    """Seen from outside."""
    found = subprocess.run(["pgrep", "-f", f"guardian.*{lab.state}/journal"], capture_output=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def test_a_guardian_that_is_killed_comes_back_as_a_service_and_the_next_boot_does_the_rest(lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    switch = Switch(lab.state / "journal", 1)
    with booted(lab) as inside:
        running = subprocess.Popen([*inside, *CREATE], stderr=subprocess.DEVNULL)
        until(lambda: _waits(lab))
        assert _shown(inside, "ControlGroup") == f"/system.slice/{SERVICE}"
        (guardian,) = _guardians(lab)
        os.kill(guardian, signal.SIGSTOP)
        os.kill(child(running.pid), signal.SIGKILL)
        running.wait()
        os.kill(guardian, signal.SIGKILL)
        until(lambda: guardian not in _guardians(lab) and switch.guarded)
        assert _shown(inside, "NRestarts") == "1"
        assert _waits(lab)
        assert (lab.root / "etc/systemd/system/virtkit-recover.service").exists()
    until(lambda: not _guardians(lab))
    assert switch.exists
    with booted(lab):
        until(lambda: not switch.exists)
    assert _change(lab).state == "rolled back"
    assert picture.everything(lab) == before
    assert not (lab.root / "etc/systemd/system/virtkit-recover.service").exists()
