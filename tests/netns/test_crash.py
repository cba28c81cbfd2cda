"""SIGKILL at any moment: the guardian brings the host back to what it was, or the next ``virtkit undo`` does."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from netns import picture
from netns.lab import settle
from virtkit.core.journal import Journal

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y", "--no-confirm")
MOMENTS = [("Log.write", "call", 6), ("Log.write", "return", 6), ("Kernel.transaction", "return", 7)]


@pytest.mark.parametrize(("function", "event", "most"), MOMENTS)
def test_sigkill_leaves_no_trace(lab: Lab, function: str, event: str, most: int) -> None:
    lab.ip("addr add 10.9.0.12/24 dev eth0 label eth0:1\nroute add 172.31.0.0/16 via 10.9.0.2 mtu 1400")
    settle(lab)
    before = picture.everything(lab)
    for times in range(1, most + 1):
        killed = lab.doomed(f"{function} {event} {times}", *CREATE)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        lab.closed()
        _undo_if_done(lab)
        assert picture.everything(lab) == before, times
    assert "nothing to undo" in lab.virtkit("undo", "-y", check=False).stderr


def test_undo_that_was_killed_is_finished_by_its_guardian(lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    for times in range(1, 7):
        lab.virtkit(*CREATE)
        lab.doomed(f"Log.write return {times}", "undo", "-y")
        lab.closed()
        assert picture.everything(lab) == before, times


def test_sigkill_at_arbitrary_moments_leaves_no_trace(lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    journal = lab.state / "journal"
    for number in range(1, 9):
        run = lab.start(sys.executable, "-m", "virtkit", *CREATE)
        while not (journal / f"{number}.switch").exists() and run.poll() is None:
            time.sleep(0.0005)
        time.sleep(number * 0.025)
        run.kill()
        run.communicate()
        lab.virtkit("recover")  # where it died before its guardian stood by, and nothing was touched yet
        lab.closed()
        _undo_if_done(lab)
        assert picture.everything(lab) == before, number


def _undo_if_done(lab: Lab) -> None:
    """Who dies with the last line written has done it all."""
    changes = Journal(lab.state / "journal").changes()
    if changes and changes[-1].state == "done":
        lab.virtkit("undo", "-y")
