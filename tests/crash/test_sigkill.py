"""A process that is killed in the middle of a change: the next ``virtkit undo`` brings everything back."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import pytest

from support.steps import POINTS, UNDO_POINTS, files, in_a_process
from virtkit.core.journal import Journal

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

SCRIPT = """
import sys
from virtkit.core.progress import silent
from pathlib import Path
from support.steps import Write
from virtkit.core.engine import run
from virtkit.core.journal import Journal
from virtkit.core.plan import Plan
from virtkit.core.system import System
root, where, trouble = sys.argv[1], int(sys.argv[2]), sys.argv[3]
paths = [f"{root}/{name}" for name in "abc"]
plan = Plan("three", tuple(Write(path, trouble=trouble if i == where else "") for i, path in enumerate(paths)))
SINK
print(run(plan, System(), Journal.default(), silent))
"""
RUN = SCRIPT.replace("SINK\n", "")
VIRTKIT = "import sys, support.steps; from virtkit.cli.main import main; sys.exit(main(sys.argv[1:]))"

SIGNALS = """
import os, signal, threading, time

def send():
    time.sleep(0.3)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(os.getpid(), number)

threading.Thread(target=send, daemon=True).start()
silent = lambda event: time.sleep(0.25)
"""
MEDDLER = f"""
import os
from support.steps import in_a_process

def silent(event):
    done = in_a_process({VIRTKIT!r}, "undo", "1", "-y", state=Path(os.environ["VIRTKIT_STATE_DIR"]))
    print(done.returncode, done.stderr.strip())
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_text("old")
    (root / "c.twin").write_text("old twin")
    return root


def virtkit(*arguments: str, state: Path) -> subprocess.CompletedProcess[str]:
    return in_a_process(VIRTKIT, *arguments, state=state)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_killed_change_is_taken_back_by_a_new_process(root: Path, tmp_path: Path, where: int, point: str) -> None:
    before = files(root)
    killed = in_a_process(RUN, str(root), str(where), f"{point}:kill", state=tmp_path)
    assert killed.returncode == -signal.SIGKILL
    history = json.loads(virtkit("history", "--output", "json", state=tmp_path).stdout)
    if where == 0 and point == "capture":
        assert [change["state"] for change in history] == ["rolled back"]
        assert files(root) == before
        return
    assert [change["state"] for change in history] == ["interrupted"]
    done = virtkit("undo", "-y", state=tmp_path)
    assert (done.returncode, done.stderr.count("virtkit:")) == (0, 0), done.stderr
    assert files(root) == before
    again = virtkit("undo", "1", "-y", state=tmp_path)
    assert again.returncode == 0
    assert "nothing left to undo" in again.stdout
    assert files(root) == before


@pytest.mark.parametrize("point", UNDO_POINTS)
@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_killed_undo_is_finished_by_the_next(root: Path, tmp_path: Path, where: int, point: str) -> None:
    before = files(root)
    assert in_a_process(RUN, str(root), str(where), f"{point}:kill", state=tmp_path).returncode == 0
    assert virtkit("undo", "1", "-y", state=tmp_path).returncode == -signal.SIGKILL
    log = tmp_path / "journal" / "1.jsonl"
    log.write_text(log.read_text().replace(f"{point}:kill", ""))  # the step no longer kills its process
    done = virtkit("undo", "1", "-y", state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files(root) == before


@pytest.mark.parametrize("room", range(0, 2400, 75))
def test_a_journal_that_cannot_grow_means_all_or_nothing(root: Path, tmp_path: Path, room: int) -> None:
    before = files(root)
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n"
    done = in_a_process(limit + RUN, str(root), "-1", "", state=tmp_path)
    if done.returncode == 0:
        assert set(files(root).values()) == {"new"}
    else:
        assert "too large" in done.stderr
        assert files(root) == before
        for change in Journal(tmp_path / "journal").changes():  # "undone" may not have found room either
            assert virtkit("undo", str(change.number), "-y", state=tmp_path).returncode == 0
            assert Journal(tmp_path / "journal").change(change.number).state == "rolled back"
        assert files(root) == before


def test_three_signals_at_once_put_everything_back(root: Path, tmp_path: Path) -> None:
    before = files(root)
    slow = SCRIPT.replace("SINK", SIGNALS)
    started = time.monotonic()
    done = in_a_process(slow, str(root), "-1", "", state=tmp_path)
    assert time.monotonic() - started < 30
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr
    assert files(root) == before
    assert [change.state for change in Journal(tmp_path / "journal").changes()] == ["rolled back"]


def test_a_running_change_is_not_undone_under_its_hands(root: Path, tmp_path: Path) -> None:
    code = SCRIPT.replace("SINK", MEDDLER)
    done = in_a_process(code, str(root), "-1", "", state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("another virtkit is working on it") == 6
    assert set(files(root).values()) == {"new"}
