"""The journal is read as it was written, torn or not, and belongs to one process at a time."""

from __future__ import annotations

import json
import os
import resource
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from support.mounts import plain_file_system
from support.steps import Write
from virtkit.core.change import Status
from virtkit.core.engine import run
from virtkit.core.errors import BusyError, NotFoundError, SystemCallError, VirtkitError
from virtkit.core.journal import Journal
from virtkit.core.plan import Plan
from virtkit.core.system import System

if TYPE_CHECKING:
    from pathlib import Path

PLAN = Plan("one", (Write("/a"),))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    run(PLAN, System(tmp_path), Journal(tmp_path / "journal"), origin="/etc/file.yaml")
    return Journal(tmp_path / "journal")


def lines(journal: Journal) -> list[dict[str, object]]:
    return [json.loads(line) for line in (journal.directory / "1.jsonl").read_text().splitlines()]


def test_the_promise_is_on_disk_before_the_change(journal: Journal) -> None:
    assert [line["event"] for line in lines(journal)] == ["begin", "before", "done", "commit"]
    assert journal.change(1).origin == "/etc/file.yaml"


def test_only_the_owner_can_read_it(journal: Journal) -> None:
    assert journal.directory.stat().st_mode & 0o777 == 0o700
    assert (journal.directory / "1.jsonl").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("lost", range(1, 60, 7))
def test_a_torn_last_line_was_never_said(journal: Journal, lost: int) -> None:
    path = journal.directory / "1.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines(keepends=True)[0][:-lost])
    assert journal.change(1).state == "done"
    with journal.reopen(1) as log:
        log.write("undoing", step=0)
    assert path.read_bytes().startswith(whole)
    last = lines(journal)[-1]
    assert (last["event"], last["step"]) == ("undoing", 0)
    assert journal.change(1).steps[0].status is Status.UNDOING


def test_a_line_that_found_no_room_is_not_glued_to_the_next(tmp_path: Path) -> None:
    journal, limits = Journal(tmp_path / "journal"), resource.getrlimit(resource.RLIMIT_FSIZE)
    with journal.begin(PLAN) as log:
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.path.stat().st_size + 10, limits[1]))
        try:
            with pytest.raises(SystemCallError, match="file too large"):
                log.write("before", step=0, state=None)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        log.write("commit")
    assert [line["event"] for line in lines(journal)] == ["begin", "commit"]


def test_where_no_room_can_be_reserved_the_free_room_counts(tmp_path: Path) -> None:
    with plain_file_system(tmp_path / "plain") as folder, Journal(folder / "journal").begin(PLAN) as log:
        log.reserve(4096)
        free = os.statvfs(folder)
        with pytest.raises(SystemCallError, match="no space left on device"):
            log.reserve(free.f_blocks * free.f_frsize)


def test_a_first_line_that_never_reached_the_disk_is_no_change(journal: Journal) -> None:
    (journal.directory / "2.jsonl").write_bytes(b'{"event": "begin", "ti')
    assert [change.number for change in journal.changes()] == [1]
    assert run(PLAN, System(journal.directory), journal) == 3


@pytest.mark.parametrize(
    "line", ["nonsense", "{}", "[]", '{"event": "done", "step": 7, "state": 1}', '{"event": "x", "step": 0}']
)
def test_a_line_that_virtkit_did_not_write_is_an_error_with_its_place(journal: Journal, line: str) -> None:
    with (journal.directory / "1.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(VirtkitError, match=r"1\.jsonl:5: not a line that virtkit wrote"):
        journal.change(1)


def test_an_unknown_number_is_not_found(journal: Journal) -> None:
    with pytest.raises(NotFoundError, match="change 9: not in the journal"):
        journal.reopen(9)


def test_a_second_hand_is_refused_and_the_first_is_seen_to_work(journal: Journal) -> None:
    with journal.reopen(1):
        assert journal.change(1).state == "running"
        with pytest.raises(BusyError, match="another virtkit is working on it"):
            journal.reopen(1)
    assert journal.change(1).state == "done"


def test_processes_that_begin_at_once_get_numbers_of_their_own(tmp_path: Path) -> None:
    def begin() -> None:
        for _ in range(10):
            Journal(tmp_path / "journal").begin(PLAN).close()

    beginning = [get_context("fork").Process(target=begin) for _ in range(4)]
    for process in beginning:
        process.start()
    for process in beginning:
        process.join()
        assert process.exitcode == 0
    assert [change.number for change in Journal(tmp_path / "journal").changes()] == list(range(1, 41))


def test_without_a_place_for_the_journal_nothing_begins(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemCallError, match="write a journal in .*not a directory"):
        run(PLAN, System(tmp_path), Journal(tmp_path / "file" / "journal"))
    assert not (tmp_path / "a").exists()


def test_the_place_is_chosen_by_the_environment(tmp_path: Path) -> None:
    assert Journal.default({"VIRTKIT_STATE_DIR": str(tmp_path)}).directory == tmp_path / "journal"
