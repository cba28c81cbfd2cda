"""A change that may cut its administrator off ends whole or not at all, whoever dies over it."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from support.guarded import ALIVE, DAEMON, LATE, SOON, WHOLE, Place, WatchFile, end, until
from virtkit.core import guardian
from virtkit.core.boot import boottime
from virtkit.core.change import Change
from virtkit.core.deadman import Confirm, starting
from virtkit.core.deadman.switch import Verdict
from virtkit.core.engine import undo
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(str(tmp_path))
    made.furnish()
    return made


def test_without_a_confirmation_it_is_put_back_at_the_deadline(place: Place) -> None:
    before = place.files
    running = place.begin(SOON)
    place.closed()
    assert 2 <= place.told("undone") - place.told("holding") < 3
    assert place.files == before
    assert end(running) == (4, "guarded: was not confirmed within 2 s; everything was put back\n")


def test_confirmed_a_second_before_the_deadline_it_is_kept(place: Place) -> None:
    running = place.begin(SOON)
    time.sleep(place.change.deadline - boottime() - 1)
    place.switch.say(Verdict.CONFIRM, "a test")
    assert end(running) == (0, "")
    assert (place.files, place.change.state, place.change.confirmed) == (WHOLE, "done", "a test")
    assert not place.switch.exists


def test_it_is_taken_back_at_once_when_it_is_told_so(place: Place) -> None:
    before = place.files
    running = place.begin()
    place.switch.say(Verdict.ROLLBACK, "a test")
    assert end(running) == (4, "guarded: taken back by a test; everything was put back\n")
    assert place.files == before


@pytest.mark.parametrize("point", ["apply", "half", "applied", "verify"])
def test_died_in_the_cut_it_is_put_back_at_once(place: Place, point: str) -> None:
    before = place.files
    running = place.start(confirm=LATE, cut=f"{point}:kill")
    assert end(running)[0] == -signal.SIGKILL
    killed = time.time()
    place.closed()
    assert place.told("undone") - killed < 2
    assert place.files == before
    assert place.change.state == "rolled back"
    assert place.change.reason == f"the process that made it (pid {running.pid}) is dead"


def test_died_with_a_command_at_work_that_is_ended_before_anything_is_put_back(place: Place) -> None:
    before = place.files
    running = place.start(confirm=LATE, cut="command:kill")
    assert end(running)[0] == -signal.SIGKILL
    place.closed()
    time.sleep(0.6)  # by now it would have written
    assert place.files == before


def test_died_while_the_rest_is_made_it_is_put_back_although_it_was_confirmed(place: Place) -> None:
    before = place.files
    running = place.start(confirm=LATE, rest="half:kill")
    until(place.waiting)
    place.switch.say(Verdict.CONFIRM, "a test")
    assert end(running)[0] == -signal.SIGKILL
    place.closed()
    assert place.files == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM], ids=lambda number: number.name)
def test_died_or_hung_up_while_it_waits_the_guardian_waits_on_and_does_the_rest(
    place: Place, number: signal.Signals
) -> None:
    running = place.begin()
    deadline = place.change.deadline
    running.send_signal(number)
    status, said = end(running)
    assert status == (-number if number is signal.SIGKILL else 1)
    assert number is signal.SIGKILL or "still waits for its confirmation, without this process" in said
    until(lambda: place.change.pid in place.guardians())
    assert place.change.state.startswith("waiting for confirmation, ")
    assert place.change.deadline == deadline
    place.switch.say(Verdict.CONFIRM, "a test")
    place.closed()
    assert (place.files, place.change.state) == (WHOLE, "done")


def test_the_guardian_keeps_the_deadline_of_who_died(place: Place) -> None:
    before = place.files
    running = place.begin(SOON)
    running.kill()
    place.closed()
    running.communicate()
    assert 2 <= place.told("undone") - place.told("holding") < 3
    assert place.files == before


@pytest.mark.parametrize(
    ("cut", "rest"), [("applied:hup", ""), ("command:hup", ""), ("", "half:hup"), ("", "half:term")]
)
def test_a_lost_session_breaks_nothing_off(place: Place, cut: str, rest: str) -> None:
    """In the cut it is what is expected; once confirmed, who ends the session waits for the rest."""
    running = place.start(confirm=LATE, cut=cut, rest=rest)
    until(place.waiting)
    place.switch.say(Verdict.CONFIRM, "a test")
    assert end(running) == (0, "")
    assert place.files == WHOLE


def test_ended_in_the_cut_it_is_put_back(place: Place) -> None:
    before = place.files
    end(place.start(confirm=LATE, cut="applied:term"))
    assert (place.files, place.change.reason) == (before, "write /a: interrupted")


def test_ctrl_c_while_it_waits_takes_it_back(place: Place) -> None:
    before = place.files
    running = place.begin()
    running.send_signal(signal.SIGINT)
    end(running)
    assert (place.files, place.change.reason, place.switch.exists) == (before, "interrupted", False)


@pytest.mark.parametrize("cut", ["", "applied:stop"])
def test_a_process_that_stops_is_killed_when_its_time_is_over(place: Place, cut: str) -> None:
    before = place.files
    running = place.start(confirm=SOON, cut=cut)
    until(lambda: bool(cut) or place.waiting())
    if not cut:
        running.send_signal(signal.SIGSTOP)
    assert end(running)[0] == -signal.SIGKILL
    assert boottime() - place.change.deadline < guardian.GRACE + 1
    place.closed()
    assert place.files == before


@pytest.mark.parametrize("dies", [False, True])
def test_what_worked_before_and_is_lost_is_reason_enough_when_patience_is_over(place: Place, *, dies: bool) -> None:
    before = place.files
    running = place.begin()
    if dies:
        running.kill()
        until(lambda: place.change.pid in place.guardians())
    place.system.remove(ALIVE)
    lost = time.time()
    place.closed()
    assert WatchFile.patience - 0.6 < place.told("undone") - lost < WatchFile.patience + 1
    running.communicate()
    assert place.change.reason == "lost what worked before: /alive is gone"
    assert place.files == {name: text for name, text in before.items() if name != "alive"}


def test_a_loss_for_a_moment_is_none(place: Place) -> None:
    running = place.begin()
    place.system.remove(ALIVE)
    time.sleep(0.5)
    place.system.write(ALIVE, "old")
    time.sleep(1)
    place.switch.say(Verdict.CONFIRM, "a test")
    assert end(running) == (0, "")


def test_what_was_dead_before_is_never_blamed(place: Place) -> None:
    place.system.remove(ALIVE)
    running = place.begin(SOON)
    place.closed()
    assert end(running) == (4, "guarded: was not confirmed within 2 s; everything was put back\n")


def test_where_nobody_is_asked_the_watches_confirm(place: Place) -> None:
    running = place.begin(Confirm(20, auto=True))
    assert end(running) == (0, "")
    assert (place.files, place.change.confirmed) == (WHOLE, "the watches")


def test_where_nobody_is_asked_a_loss_is_not_confirmed(place: Place) -> None:
    running = place.begin(Confirm(20, auto=True))
    place.system.remove(ALIVE)
    status, said = end(running)
    assert (status, "lost what worked before: /alive is gone" in said) == (4, True)


def test_a_guardian_that_is_killed_is_replaced_while_somebody_waits(place: Place) -> None:
    running = place.begin()
    (first,) = place.guardians()
    os.kill(first, signal.SIGKILL)
    until(lambda: first not in place.guardians() and place.switch.guarded)
    running.kill()
    until(lambda: place.change.pid in place.guardians())
    place.switch.say(Verdict.CONFIRM, "a test")
    place.closed()
    assert place.files == WHOLE
    running.communicate()


def test_the_way_back_is_guarded_as_well(place: Place) -> None:
    before = place.files
    running = place.begin()
    place.switch.say(Verdict.CONFIRM, "a test")
    assert end(running) == (0, "")
    dying = (
        "import os, signal; from support import guarded, steps; from virtkit.core import engine\n"
        f"place = guarded.Place({place.folder!r})\n"
        "def put_back(event): os.kill(os.getpid(), signal.SIGKILL)\n"
        "engine.undo(place.journal, 1, place.system, put_back)\n"
    )
    assert place.python(dying).returncode == -signal.SIGKILL
    place.closed()
    assert place.files == before
    assert len(place.times("taken")) == 2  # by who undid it, so that the guardian knows whom to kill, and by him
    assert undo(place.journal, 1, place.system).back == []


def test_what_cannot_be_put_back_yet_is_tried_again_and_again(place: Place) -> None:
    """Nobody else may be left who could."""
    before = place.files
    running = place.begin(daemon=True)
    running.kill()
    running.communicate()
    place.switch.say(Verdict.ROLLBACK, "a test")
    until(lambda: len(place.times("taken")) == 2)
    assert place.change.state == "interrupted"
    place.system.write(DAEMON, "")
    place.closed()
    assert place.files == before | {"daemon": ""}


def test_a_host_that_was_suspended_is_not_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """No suspend is at hand here: its clock jumps. Who should have ended at the deadline wakes up now as well."""
    real, pace, change = boottime(), guardian._Pace(), Change(1, deadline=boottime() + 60)
    assert not pace.late(change)
    monkeypatch.setattr(guardian, "boottime", lambda: real + 3600)
    monkeypatch.setattr(guardian, "GRACE", 0.05)
    assert not pace.late(change)
    time.sleep(0.06)
    assert pace.late(change)


def test_a_change_whose_journal_was_taken_away_is_nobodys(place: Place) -> None:
    running = place.begin()
    (place.journal.directory / "1.jsonl").unlink()
    place.closed()
    until(lambda: not place.guardians(), seconds=2)
    running.kill()
    running.communicate()


def test_without_a_guardian_it_is_undone_all_the_same(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is no reason to leave things as they are."""
    before = place.files
    number = place.run(None)
    monkeypatch.setattr(starting, "_LAUNCHED", "/nonexistent.py")
    monkeypatch.setattr(starting, "PATIENCE", 0.2)
    undo(place.journal, number, place.system)
    assert (place.files, place.switch.exists) == (before, False)


def test_without_a_guardian_nothing_is_touched(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.files
    monkeypatch.setattr(starting, "_LAUNCHED", "/nonexistent.py")
    monkeypatch.setattr(starting, "PATIENCE", 0.5)
    with pytest.raises(NotSupportedError, match="did not start within 0.5 s"):
        place.run(LATE)
    assert place.files == before
    assert place.journal.changes() == []
    assert not place.switch.exists


def test_it_ends_with_its_change(place: Place) -> None:
    running = place.begin()
    assert len(place.guardians()) == 1
    place.switch.say(Verdict.CONFIRM, "a test")
    end(running)
    until(lambda: not place.guardians(), seconds=2)


def test_what_somebody_did_to_the_kernel_meanwhile_does_not_hold_it_up(place: Place) -> None:
    """A daemon that gives an address back: elsewhere undo would stop there, and the host would stay cut off."""
    before = place.files
    running = place.begin()
    place.system.write("/a", "mine")
    place.switch.say(Verdict.ROLLBACK, "a test")
    assert end(running)[0] == 4
    assert place.files == before


def test_a_plan_of_two_moves_is_confirmed_twice(place: Place) -> None:
    running = place.start(confirm=LATE, second="")
    until(place.waiting)
    first = place.change.holding
    place.switch.say(Verdict.CONFIRM, "a test")
    until(lambda: place.change.holding != first)
    assert (place.change.confirmed, place.files["b"], "c" in place.files) == ("", "new", True)
    time.sleep(0.5)
    assert place.waiting()
    place.switch.say(Verdict.CONFIRM, "a test")
    assert end(running)[0] == 0
    assert place.files == WHOLE | {"c": "new", "c.twin": "new", "d": "new", "d.twin": "new"}


def test_a_confirmation_outlives_who_wrote_it_down(place: Place) -> None:
    dying = (
        "import os, signal; from support import guarded; from virtkit.core.journal import Log\n"
        f"place, write = guarded.Place({place.folder!r}), Log.write\n"
        "def last_words(log, event, **facts):\n"
        "    write(log, event, **facts)\n"
        "    event == 'confirmed' and os.kill(os.getpid(), signal.SIGKILL)\n"
        "Log.write = last_words\n"
        "place.run(guarded.Confirm(20, auto=True))\n"
    )
    assert place.python(dying).returncode == -signal.SIGKILL
    killed = time.time()
    place.closed()
    assert place.told("commit") - killed < 2  # nobody looks for three seconds once more
    assert (place.files, place.change.state) == (WHOLE, "done")
