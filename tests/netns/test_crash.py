"""SIGKILL at any moment, then ``virtkit undo`` from another process: the host is as it was."""

from __future__ import annotations

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
MOMENTS = [
    *(("Log.write", event, times) for times in range(1, 7) for event in ("call", "return")),
    *(("Kernel.transaction", "return", times) for times in range(1, 6)),
]


@pytest.mark.parametrize(("function", "event", "times"), MOMENTS)
def test_undo_after_sigkill_leaves_no_trace(lab: Lab, function: str, event: str, times: int) -> None:
    lab.ip("addr add 10.9.0.12/24 dev eth0 label eth0:1\nroute add 172.31.0.0/16 via 10.9.0.2 mtu 1400")
    settle(lab)
    before = picture.everything(lab)
    create = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
    killed = lab.run(sys.executable, "-c", KILLER, function, event, str(times), *create, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    undone = lab.virtkit("undo", "-y", check=False)
    assert undone.returncode == 0 or "nothing to undo" in undone.stderr, undone.stderr
    assert picture.everything(lab) == before
    assert "nothing to undo" in lab.virtkit("undo", "-y", check=False).stderr


@pytest.mark.parametrize("times", range(1, 6))
def test_undo_that_was_killed_is_finished_by_the_next_one(lab: Lab, times: int) -> None:
    settle(lab)
    before = picture.everything(lab)
    lab.virtkit("net", "bridge", "create", "br0", "--port", "eth0", "-y")
    killer = (sys.executable, "-c", KILLER, "Log.write", "return", str(times), "undo", "-y")
    lab.run(*killer, check=False)
    lab.virtkit("undo", "-y", check=False)
    assert picture.everything(lab) == before


def test_undo_after_sigkill_at_arbitrary_moments_leaves_no_trace(lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    journal = lab.state / "journal"
    for number in range(1, 9):
        run = lab.start(sys.executable, "-m", "virtkit", "net", "bridge", "create", "br0", "--port", "eth0", "-y")
        while not (journal / f"{number}.jsonl").exists() and run.poll() is None:
            time.sleep(0.0005)
        time.sleep(number * 0.003)
        run.kill()
        run.communicate()
        lab.virtkit("undo", "-y", check=False)
        assert picture.everything(lab) == before, number
