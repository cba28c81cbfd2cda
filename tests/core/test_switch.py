"""The file that takes the answer: written in place, found by whoever waits, gone with its change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.deadman.switch import Answer, Switch, Verdict, switches
from virtkit.core.errors import NotFoundError

if TYPE_CHECKING:
    from pathlib import Path


def test_an_answer_takes_no_room_that_was_not_taken_before(tmp_path: Path) -> None:
    switch = Switch(tmp_path, 7)
    switch.create()
    before = switch.path.stat()
    assert switch.answer() is None
    switch.say(Verdict.CONFIRM, "virtkit, pid 812" + 200 * "é")
    after = switch.path.stat()
    assert (after.st_size, after.st_ino, after.st_blocks) == (before.st_size, before.st_ino, before.st_blocks)
    answer = switch.answer()
    assert answer is not None
    assert (answer.verdict, answer.by.startswith("virtkit, pid 812é")) == (Verdict.CONFIRM, True)


def test_the_last_word_counts(tmp_path: Path) -> None:
    switch = Switch(tmp_path, 7)
    switch.create()
    switch.say(Verdict.CONFIRM, "a longer name than the other")
    switch.say(Verdict.ROLLBACK, "me")
    assert switch.answer() == Answer(Verdict.ROLLBACK, "me")


def test_a_change_that_is_closed_takes_no_answer(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="change 7: is not open any more"):
        Switch(tmp_path, 7).say(Verdict.CONFIRM, "me")
    assert Switch(tmp_path, 7).answer() is None
    assert not Switch(tmp_path, 7).guarded


def test_the_open_changes_come_oldest_first(tmp_path: Path) -> None:
    for number in (10, 9):
        Switch(tmp_path, number).create()
    (tmp_path / "x.switch").touch()
    assert [switch.number for switch in switches(tmp_path)] == [9, 10]
    Switch(tmp_path, 9).remove()
    assert [switch.number for switch in switches(tmp_path)] == [10]
