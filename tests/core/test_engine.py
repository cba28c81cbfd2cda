"""A plan happens whole or not at all, wherever it breaks; and it can be taken back."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.steps import POINTS, Fill, Write, WriteAlone, WriteData, files
from virtkit.core.engine import newest, run, undo
from virtkit.core.errors import NotFoundError, RolledBackError, UndoIncompleteError
from virtkit.core.journal import Journal
from virtkit.core.plan import Plan
from virtkit.core.progress import Event, Finished, Started
from virtkit.core.system import System
from virtkit.core.wayback import planned


@pytest.fixture
def system(tmp_path: Path) -> System:
    root = tmp_path / "root"
    root.mkdir()
    system = System(root)
    system.write("/a", "old")
    system.write("/a.twin", "old twin")
    return system


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def three(where: int = -1, trouble: str = "") -> Plan:
    paths = ("/a", "/b", "/c")
    return Plan("three", tuple(Write(path, trouble=trouble if i == where else "") for i, path in enumerate(paths)))


def test_a_plan_that_works_is_committed_and_each_step_has_its_states(system: System, journal: Journal) -> None:
    number = run(three(), system, journal)
    assert files(system.root) == dict.fromkeys(["a", "a.twin", "b", "b.twin", "c", "c.twin"], "new")
    change = journal.change(number)
    assert change.state == "done"
    assert change.steps[0].before == {"/a": "old", "/a.twin": "old twin"}
    assert change.steps[0].after == {"/a": "new", "/a.twin": "new"}


@pytest.mark.parametrize(
    ("how", "error"), [("raise", RolledBackError), ("verify", RolledBackError), ("ctrl-c", KeyboardInterrupt)]
)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("where", [0, 1, 2])
def test_a_step_that_breaks_leaves_nothing_behind(
    system: System, journal: Journal, where: int, point: str, how: str, error: type[BaseException]
) -> None:
    before = files(system.root)
    with pytest.raises(error):
        run(three(where, f"{point}:{how}"), system, journal)
    assert files(system.root) == before
    (change,) = journal.changes()
    assert change.state == "rolled back"
    with pytest.raises(NotFoundError, match="nothing to undo"):
        newest(journal)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_the_plan_and_wherever_it_breaks_the_files_are_as_before(data: st.DataObject) -> None:
    names = st.sampled_from(["/a", "/b", "/c"])
    start = data.draw(st.dictionaries(names, st.text("xyz", max_size=3)))
    steps = data.draw(st.lists(st.tuples(names, st.text("xyz", min_size=1, max_size=3)), min_size=1, max_size=6))
    broken = data.draw(st.integers(0, len(steps)))
    trouble = f"{data.draw(st.sampled_from(POINTS))}:{data.draw(st.sampled_from(['raise', 'verify', 'ctrl-c']))}"
    with TemporaryDirectory() as directory:
        system, journal = System(Path(directory, "root")), Journal(Path(directory, "journal"))
        system.root.mkdir()
        for path, text in start.items():
            system.write(path, text)
        before = files(system.root)
        plan = Plan("any", tuple(Write(*step, trouble if i == broken else "") for i, step in enumerate(steps)))
        try:
            number = run(plan, system, journal)
        except (RolledBackError, KeyboardInterrupt):
            assert broken < len(steps)
        else:
            assert broken == len(steps)
            undo(journal, number, system)
        assert files(system.root) == before


def test_the_error_names_the_step_the_reason_and_the_outcome(system: System, journal: Journal) -> None:
    with pytest.raises(RolledBackError, match="^write /b: no space left on device; everything was put back$"):
        run(three(1, "half:raise"), system, journal)
    with pytest.raises(RolledBackError, match="^write /a: no space left on device; nothing was changed$"):
        run(three(0, "capture:raise"), system, journal)


def test_a_committed_plan_is_undone_and_undoing_twice_is_harmless(system: System, journal: Journal) -> None:
    before = files(system.root)
    number = run(three(), system, journal)
    assert undo(journal, number, system).back == ["write /c", "write /b", "write /a"]
    assert files(system.root) == before
    assert journal.change(number).state == "undone"
    assert undo(journal, number, system).back == []
    assert files(system.root) == before


def test_what_is_as_before_already_is_not_touched_again(system: System, journal: Journal) -> None:
    number = run(three(), system, journal)
    system.write("/a", "old")
    system.write("/a.twin", "old twin")
    stamp = system.path("/a").stat().st_mtime_ns
    undo(journal, number, system)
    assert system.path("/a").stat().st_mtime_ns == stamp


def test_what_somebody_else_changed_since_is_reported_and_not_overwritten(system: System, journal: Journal) -> None:
    number = run(three(), system, journal)
    system.write("/b", "mine")
    with pytest.raises(UndoIncompleteError, match=r"write /b: changed by somebody else since: is .*mine"):
        undo(journal, number, system)
    assert system.read("/b") == "mine"
    assert not system.exists("/c")
    assert system.read("/a") == "new"  # an earlier step may carry a later one
    assert journal.change(number).state == "partly undone"


def test_a_step_that_stands_alone_does_not_hold_up_the_others(system: System, journal: Journal) -> None:
    plan = Plan("alone", (WriteAlone("/a"), WriteAlone("/b"), WriteAlone("/c")))
    number = run(plan, system, journal)
    system.write("/b", "mine")
    with pytest.raises(UndoIncompleteError, match="1 of 3 steps are still there"):
        undo(journal, number, system)
    assert files(system.root) == {"a": "old", "a.twin": "old twin", "b": "mine", "b.twin": "new"}


def test_force_overwrites_what_somebody_else_changed(system: System, journal: Journal) -> None:
    before = files(system.root)
    number = run(three(), system, journal)
    system.write("/b", "mine")
    undo(journal, number, system, force=True)
    assert files(system.root) == before


@pytest.mark.parametrize("force", [False, True])
def test_a_thing_that_somebody_removed_since_has_nothing_to_be_put_back(
    system: System, journal: Journal, *, force: bool
) -> None:
    system.path("/d").mkdir()
    number = run(Plan("fill", (Write("/a"), Fill("/d/x"))), system, journal)
    shutil.rmtree(system.path("/d"))
    assert undo(journal, number, system, force=force).back == ["write /d/x", "write /a"]
    assert files(system.root) == {"a": "old", "a.twin": "old twin"}
    assert not system.exists("/d")


def test_undo_goes_on_once_the_other_change_is_gone(system: System, journal: Journal) -> None:
    before = files(system.root)
    number = run(three(), system, journal)
    system.write("/b", "mine")
    with pytest.raises(UndoIncompleteError):
        undo(journal, number, system)
    system.write("/b", "new")
    assert undo(journal, number, system).back == ["write /b", "write /a"]
    assert files(system.root) == before


def test_data_is_kept_until_its_deletion_is_asked_for(system: System, journal: Journal) -> None:
    number = run(Plan("disk", (WriteData("/disk"), Write("/b"))), system, journal)
    back, kept = planned(journal.change(number))
    assert ([s.text for s in back], [s.text for s in kept]) == (["write /b"], ["write /disk"])
    assert undo(journal, number, system).kept == ["write /disk"]
    assert system.read("/disk") == "new"
    assert journal.change(number).state == "undone, data kept"
    assert undo(journal, number, system, delete_data=True).back == ["write /disk"]
    assert not system.exists("/disk")
    assert journal.change(number).state == "undone"


def test_data_of_a_plan_that_failed_is_removed(system: System, journal: Journal) -> None:
    with pytest.raises(RolledBackError):
        run(Plan("disk", (WriteData("/disk"), Write("/b", trouble="verify:verify"))), system, journal)
    assert not system.exists("/disk")


def test_what_cannot_be_put_back_is_named_with_its_reason_and_stays_in_the_journal(
    system: System, journal: Journal
) -> None:
    plan = Plan("three", (Write("/a"), Write("/b", trouble="undo:raise"), Write("/c", trouble="applied:raise")))
    with pytest.raises(UndoIncompleteError) as caught:
        run(plan, system, journal)
    assert caught.value.message.splitlines() == [
        "write /c: no space left on device",
        "change 1 (three): 2 of 3 steps are still there",
        "  write /b: no space left on device",
        "  write /a: not tried, because of the above",
    ]
    assert caught.value.hint == "virtkit undo 1 tries the rest again"
    assert journal.change(1).state == "interrupted"


def test_an_undo_that_did_not_bring_the_old_state_back_says_so(system: System, journal: Journal) -> None:
    class Stubborn(System):
        def write(self, absolute: str, text: str) -> None:
            """A kernel that ignores writes."""

    number = run(three(), system, journal)
    with pytest.raises(UndoIncompleteError, match=r"write /a: is .*new.* after undo, expected .*old"):
        undo(journal, number, Stubborn(system.root))


def test_a_sink_that_raises_cancels_and_everything_is_put_back(system: System, journal: Journal) -> None:
    before = files(system.root)

    def closed(event: Event) -> None:
        if event == Finished("write /b"):
            raise BrokenPipeError

    with pytest.raises(RolledBackError):
        run(three(), system, journal, closed)
    assert files(system.root) == before


def test_an_undo_whose_reader_has_gone_is_finished_by_the_next(system: System, journal: Journal) -> None:
    before = files(system.root)
    number = run(three(), system, journal)

    def closed(event: Event) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        undo(journal, number, system, closed)
    assert not system.exists("/c")  # what was put back is known to be so
    assert undo(journal, number, system).back == ["write /b", "write /a"]
    assert files(system.root) == before


def test_progress_goes_to_the_sink(system: System, journal: Journal) -> None:
    seen: list[Event] = []
    run(Plan("one", (Write("/a"),)), system, journal, seen.append)
    assert seen == [Started("write /a"), Finished("write /a")]


def test_the_newest_change_that_is_still_there_is_the_one_to_undo(system: System, journal: Journal) -> None:
    first = run(Plan("first", (Write("/a"),)), system, journal)
    second = run(Plan("second", (Write("/b"),)), system, journal)
    assert newest(journal).number == second
    undo(journal, second, system)
    assert newest(journal).number == first
