"""Both the process that makes a change and its guardian are dead: the next virtkit, or the next boot, puts it back."""

from __future__ import annotations

import os
import re
import resource
import signal
import time
from typing import TYPE_CHECKING

import pytest

from support.forked import forked
from support.guarded import LATE, SOON, WHOLE, Place, end, plan, until
from support.mounts import small_file_system
from virtkit.core import boot, engine, recovery
from virtkit.core.deadman import waiting
from virtkit.core.deadman.switch import Verdict
from virtkit.core.errors import BusyError, RolledBackError, SystemCallError, UndoIncompleteError
from virtkit.core.processes import process
from virtkit.core.progress import Started

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.core.progress import Event

DYING = """
import os, signal
from support import guarded, steps
from virtkit.core import recovery
from virtkit.core.journal import Log
place, left, write = guarded.Place({folder!r}), {lines}, Log.write
def last_words(log, event, **facts):
    global left
    write(log, event, **facts)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
Log.write = last_words
recovery.recover(place.journal, place.system)
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(str(tmp_path))
    made.furnish()
    return made


def recovered(place: Place) -> list[str]:
    return [change.state for change in recovery.recover(place.journal, place.system)]


def in_another_boot(place: Place) -> None:
    """As the journal looks after the host's next start."""
    path = place.journal.directory / "1.jsonl"
    path.write_text(re.sub(r'"boot": "[^"]+"', '"boot": "00000000-0000-4000-8000-000000000000"', path.read_text()))


def test_it_is_put_back_once(place: Place) -> None:
    before = place.files
    place.orphan(place.begin())
    assert place.change.state == "interrupted"
    assert place.files != before
    assert recovered(place) == ["rolled back"]
    assert place.files == before
    told = (place.journal.directory / "1.jsonl").read_bytes()
    assert recovered(place) == []
    assert (place.journal.directory / "1.jsonl").read_bytes() == told


@pytest.mark.parametrize("lines", range(1, 7))
def test_who_puts_it_back_may_die_over_it_too(place: Place, lines: int) -> None:
    before = place.files
    place.orphan(place.begin())
    assert place.python(DYING.format(folder=place.folder, lines=lines)).returncode == -signal.SIGKILL
    assert [recovered(place), recovered(place)] == [["rolled back"], []]
    assert place.files == before


def test_what_somebody_works_on_is_left_alone(place: Place) -> None:
    running = place.begin()
    assert recovered(place) == []
    running.kill()
    until(lambda: place.change.pid in place.guardians())
    assert recovered(place) == []
    place.switch.say(Verdict.CONFIRM, "a test")
    place.closed()
    running.communicate()
    assert place.files == WHOLE


def test_who_confirms_does_the_rest_if_nobody_else_lives(place: Place) -> None:
    place.orphan(place.begin())
    place.switch.say(Verdict.CONFIRM, "a test")
    assert engine.go_on(place.journal, 1, place.system, why="dead").state == "done"
    assert (place.files, place.switch.exists) == (WHOLE, False)


def test_in_another_boot_only_files_are_put_back(place: Place) -> None:
    """What the kernel alone held has gone: what looks the same now was made by somebody else."""
    running = place.begin(rest="half:stop")
    place.switch.say(Verdict.CONFIRM, "a test")
    until(lambda: place.system.exists("/b"))
    place.orphan(running)
    in_another_boot(place)
    assert recovered(place) == ["rolled back"]
    assert place.files == {"a": "new", "a.twin": "new", "alive": "old"}


def test_in_another_boot_a_daemon_that_does_not_run_yet_is_no_obstacle(place: Place) -> None:
    """Before the network: it will read the old files when it starts."""
    running = place.begin(rest="half:stop", daemon=True)
    place.switch.say(Verdict.CONFIRM, "a test")
    until(lambda: place.system.exists("/b"))
    place.orphan(running)
    in_another_boot(place)
    assert recovered(place) == ["rolled back"]
    assert not place.system.exists("/b")


def test_in_the_same_boot_a_daemon_that_does_not_answer_is_one(place: Place) -> None:
    before = place.files
    place.orphan(place.begin(daemon=True))
    with pytest.raises(UndoIncompleteError, match="tell the daemon: it does not run"):
        recovered(place)
    assert place.files == before
    assert place.change.state == "interrupted"


def test_in_another_boot_nobody_waits_on(place: Place) -> None:
    place.orphan(place.begin())
    place.switch.say(Verdict.CONFIRM, "a test")
    in_another_boot(place)
    with pytest.raises(RolledBackError):
        engine.go_on(place.journal, 1, place.system, why="dead")
    assert not place.system.exists("/b")


def test_a_second_operator_is_told_of_the_first(place: Place) -> None:
    running = place.begin()
    with pytest.raises(BusyError) as caught:
        place.run(LATE)
    told = rf"change 1 \(guarded\): is open since \d\d:\d\d:\d\d, and pid {running.pid} works on it"
    assert re.fullmatch(told, caught.value.message)
    assert caught.value.hint == "virtkit confirm 1, or virtkit rollback 1"
    place.switch.say(Verdict.ROLLBACK, "a test")
    assert end(running)[0] == 4


def test_of_several_at_once_one_is_the_first(place: Place) -> None:
    running = [place.start(confirm=SOON) for _ in range(4)]
    ended = sorted(end(process)[0] for process in running)
    assert ended == [1, 1, 1, 4]
    assert [change.state for change in place.journal.changes()] == ["rolled back"]


def test_what_died_is_in_nobodys_way_once_it_is_recovered(place: Place) -> None:
    place.orphan(place.begin())
    with pytest.raises(BusyError, match="died over it") as caught:
        place.run(None)
    assert caught.value.hint == "virtkit recover"
    recovered(place)
    assert place.run(None) == 2
    assert place.files == WHOLE


def test_without_room_for_the_journal_nothing_is_touched(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", size=64 << 10) as folder:
        place = Place(str(folder))
        before = place.furnish()
        with pytest.raises(SystemCallError, match=r"^reserve [0-9.]+ KiB for .*/1\.jsonl: no space left on device$"):
            place.run(LATE)
        assert (place.files, place.journal.changes(), place.switch.exists) == (before, [], False)


def test_it_is_put_back_although_the_journal_takes_no_line_any_more(place: Place) -> None:
    before = place.files

    def fill(event: Event) -> None:
        if event == Started("write /a"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))  # bytes; files here are shorter

    def work() -> int:
        with pytest.raises(RolledBackError, match="file too large; everything was put back"):
            engine.run(plan(LATE), place.system, place.journal, fill)
        return 0

    assert forked(work).returncode == 0
    assert place.files == before


def test_a_suspended_host_does_not_stretch_the_deadline(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real, began = place.files, boot.boottime, time.monotonic()
    monkeypatch.setattr(waiting, "boottime", lambda: real() + (3600 if time.monotonic() > began + 1 else 0))
    with pytest.raises(RolledBackError, match="was not confirmed within 60 s"):
        place.run(LATE)
    assert time.monotonic() - began < 5
    assert place.files == before


def test_a_clock_that_is_set_changes_no_deadline(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    began, real = time.monotonic(), time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86400 * (time.monotonic() > began + 1))
    with pytest.raises(RolledBackError, match="was not confirmed within 2 s"):
        place.run(SOON)
    assert 2 <= time.monotonic() - began < 4


def test_who_undoes_what_was_killed_just_now_means_that_although_the_guardian_is_at_it_already(place: Place) -> None:
    before = place.files
    running = place.start(confirm=LATE, cut="undo:stop")
    until(place.waiting)
    (guardian,) = place.guardians()
    running.kill()
    running.communicate()
    place.switch.say(Verdict.ROLLBACK, "a test")
    until(lambda: (found := process(guardian)) is not None and found.state == "T")
    assert engine.newest(place.journal).number == 1
    os.kill(guardian, signal.SIGCONT)
    engine.undo(place.journal, 1, place.system)
    assert (place.files, place.change.state) == (before, "rolled back")


def test_who_undoes_what_two_dead_left_waits_for_nobody(place: Place) -> None:
    before, began = place.files, time.monotonic()
    place.orphan(place.begin())
    engine.undo(place.journal, 1, place.system)
    assert time.monotonic() - began < 20
    assert (place.files, place.switch.exists) == (before, False)


def test_a_switch_without_its_journal_is_in_nobodys_way(place: Place) -> None:
    """Of a process that was killed before it had touched anything, or of who cleaned up by hand."""
    place.journal.directory.mkdir()
    place.switch.create()
    assert recovered(place) == []
    assert not place.switch.exists


def test_without_a_journal_there_is_nothing_to_recover(tmp_path: Path) -> None:
    assert recovered(Place(str(tmp_path))) == []
