"""A process that is killed in the middle of a change: the next ``virtkit undo`` brings everything back."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from support.forked import Ended, forked
from support.steps import POINTS, UNDO_POINTS, Write, files
from virtkit.cli.main import main
from virtkit.core.engine import run
from virtkit.core.errors import RolledBackError, SystemCallError, UndoIncompleteError
from virtkit.core.journal import Journal
from virtkit.core.plan import Plan
from virtkit.core.progress import Finished, silent
from virtkit.core.system import System

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.core.progress import Event, Sink

TOO_LARGE = 9  # exit status


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_text("old")
    (root / "c.twin").write_text("old twin")
    return root


def three(root: Path, where: int = -1, trouble: str = "") -> Plan:
    paths = [f"{root}/{name}" for name in "abc"]
    return Plan("three", tuple(Write(path, trouble=trouble if i == where else "") for i, path in enumerate(paths)))


def carried_out(plan: Plan, state: Path, sink: Sink = silent) -> Ended:
    def work() -> None:
        run(plan, System(), Journal(state / "journal"), sink)

    return forked(work)


def virtkit(*arguments: str, state: Path) -> Ended:
    return forked(lambda: main(arguments), VIRTKIT_STATE_DIR=str(state))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_killed_change_is_taken_back_by_a_new_process(root: Path, tmp_path: Path, where: int, point: str) -> None:
    before = files(root)
    killed = carried_out(three(root, where, f"{point}:kill"), tmp_path)
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
    assert carried_out(three(root, where, f"{point}:kill"), tmp_path).returncode == 0
    assert virtkit("undo", "1", "-y", state=tmp_path).returncode == -signal.SIGKILL
    log = tmp_path / "journal" / "1.jsonl"
    log.write_text(log.read_text().replace(f"{point}:kill", ""))  # the step no longer kills its process
    done = virtkit("undo", "1", "-y", state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files(root) == before


@pytest.mark.parametrize("room", range(0, 2400, 75))
def test_a_journal_that_cannot_grow_means_all_or_nothing(root: Path, tmp_path: Path, room: int) -> None:
    before = files(root)

    def work() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            run(three(root), System(), Journal(tmp_path / "journal"))
        except (RolledBackError, SystemCallError, UndoIncompleteError) as error:
            return TOO_LARGE if "too large" in str(error) else 1
        return 0

    done = forked(work)
    if done.returncode == 0:
        assert set(files(root).values()) == {"new"}
    else:
        assert done.returncode == TOO_LARGE
        assert files(root) == before
        for change in Journal(tmp_path / "journal").changes():  # "undone" may not have found room either
            assert virtkit("undo", str(change.number), "-y", state=tmp_path).returncode == 0
            assert Journal(tmp_path / "journal").change(change.number).state == "rolled back"
        assert files(root) == before


def test_three_signals_at_once_put_everything_back(root: Path, tmp_path: Path) -> None:
    before = files(root)

    def send() -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)

    def slow(event: Event) -> None:
        if event == Finished(f"write {root}/a"):
            threading.Timer(0.05, send).start()
        time.sleep(0.1)

    started = time.monotonic()
    done = carried_out(three(root), tmp_path, slow)
    assert time.monotonic() - started < 30
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr
    assert files(root) == before
    assert [change.state for change in Journal(tmp_path / "journal").changes()] == ["rolled back"]


def test_a_running_change_is_not_undone_under_its_hands(root: Path, tmp_path: Path) -> None:
    def meddle(_event: Event) -> None:
        done = virtkit("undo", "1", "-y", state=tmp_path)
        sys.stdout.write(done.stderr)

    done = carried_out(three(root), tmp_path, meddle)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("another virtkit is working on it") == 6
    assert set(files(root).values()) == {"new"}
