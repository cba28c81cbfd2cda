"""SIGKILL at any moment: the guardian brings the host back to what it was, or the next ``virtkit undo`` does."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from netns import picture
from netns.lab import settle

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns

# Runs the real program and kills itself when a function is entered (call) or left (return) for the nth time.
KILLER = """
import os, signal, sys
from virtkit.cli.main import main
name, event, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
def watch(frame, happened, _):
    global times
    if happened == event and frame.f_code.co_qualname == name:
        times -= 1
        if times == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(watch)
sys.exit(main(sys.argv[4:]))
"""
CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y", "--no-confirm")
MOMENTS = [
    *(("Log.write", event, times) for times in range(1, 7) for event in ("call", "return")),
    *(("Kernel.transaction", "return", times) for times in range(1, 8)),
]


@pytest.mark.parametrize(("function", "event", "times"), MOMENTS)
def test_sigkill_leaves_no_trace(lab: Lab, function: str, event: str, times: int) -> None:
    lab.ip("addr add 10.9.0.12/24 dev eth0 label eth0:1\nroute add 172.31.0.0/16 via 10.9.0.2 mtu 1400")
    settle(lab)
    before = picture.everything(lab)
    killed = lab.run(sys.executable, "-c", KILLER, function, event, str(times), *CREATE, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    lab.closed()
    _undo_if_done(lab)
    assert picture.everything(lab) == before
    assert "nothing to undo" in lab.virtkit("undo", "-y", check=False).stderr


@pytest.mark.parametrize("times", range(1, 7))
def test_undo_that_was_killed_is_finished_by_its_guardian(lab: Lab, times: int) -> None:
    settle(lab)
    before = picture.everything(lab)
    lab.virtkit(*CREATE)
    killer = (sys.executable, "-c", KILLER, "Log.write", "return", str(times), "undo", "-y")
    lab.run(*killer, check=False)
    lab.closed()
    assert picture.everything(lab) == before


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
    changes = json.loads(lab.virtkit("history", "--output", "json").stdout)
    if changes and changes[-1]["state"] == "done":
        lab.virtkit("undo", "-y")
