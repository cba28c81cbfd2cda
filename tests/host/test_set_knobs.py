from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.imitation import COUPLED, DIRTY, FILES, KSM, QUEUE, THP, imitation
from support.steps import TESTS
from virtkit import host
from virtkit.core import engine
from virtkit.core.errors import (
    NotFoundError,
    NotSupportedError,
    RolledBackError,
    UndoIncompleteError,
    UsageError,
)
from virtkit.core.journal import Journal
from virtkit.core.system import System

WISHES = {"thp.enabled": "never", "thp.defrag": "defer"}
set_knobs = partial(host.set_knobs, persistent=False)
DYING = """
import sys
from pathlib import Path
from host.imitation import Imitation
from virtkit import host
from virtkit.core import engine
from virtkit.core.journal import Journal
root, journal, number = Path(sys.argv[1]), Journal(Path(sys.argv[2])), int(sys.argv[3])
plan = host.set_knobs(Imitation(root), dict(word.split("=") for word in sys.argv[4:]), persistent=False)
engine.run(plan, Imitation(root, dies=number), journal)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def tree(root: Path) -> dict[str, str]:
    return {name: System(root).read(name) for name in FILES}


def test_a_plan_changes_nothing_and_says_what_was_and_what_will_be(tmp_path: Path) -> None:
    system = imitation(tmp_path)
    plan = set_knobs(system, WISHES)
    assert plan.lines() == ["~ thp.enabled: madvise -> never", "~ thp.defrag: madvise -> defer"]
    assert tree(tmp_path) == FILES
    assert not system.written


def test_a_second_apply_writes_nothing(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path)
    engine.run(set_knobs(system, WISHES), system, journal)
    assert system.written == [(f"{THP}/enabled", "never"), (f"{THP}/defrag", "defer")]
    assert not set_knobs(system, WISHES)
    system.written.clear()
    assert not set_knobs(system, {"thp.enabled": "never"})
    assert not system.written


def test_undo_brings_everything_back(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path)
    number = engine.run(set_knobs(system, WISHES), system, journal)
    engine.undo(journal, number, system)
    assert tree(tmp_path) == FILES


def test_a_value_that_the_kernel_takes_and_does_not_keep_is_no_success(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("virtkit.host.actions.knobs._SETTLE_SECONDS", 0.05)
    system = imitation(tmp_path, deaf=frozenset({f"{THP}/defrag"}))
    with pytest.raises(RolledBackError, match=r"thp.defrag.*took it and says madvise, expected defer"):
        engine.run(set_knobs(system, WISHES), system, journal)
    assert tree(tmp_path) == FILES


def test_a_value_that_the_kernel_refuses_puts_back_what_was_set_before(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path, refusing=frozenset({f"{THP}/defrag"}))
    with pytest.raises(RolledBackError, match=r"thp.defrag.*invalid argument; everything was put back"):
        engine.run(set_knobs(system, WISHES), system, journal)
    assert tree(tmp_path) == FILES


def test_undo_leaves_what_somebody_else_changed_since_and_puts_the_rest_back(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path)
    number = engine.run(set_knobs(system, WISHES), system, journal)
    system.write(f"{THP}/defrag", "always")
    with pytest.raises(UndoIncompleteError, match="thp.defrag is always, and was left at defer"):
        engine.undo(journal, number, system)
    assert tree(tmp_path) == FILES | {f"{THP}/defrag": "[always] defer defer+madvise madvise never"}
    engine.undo(journal, number, system, force=True)
    assert tree(tmp_path) == FILES


@pytest.mark.parametrize("number", [1, 2])
def test_sigkill_in_the_middle_of_a_tune_leaves_what_undo_puts_back(
    number: int, tmp_path: Path, journal: Journal
) -> None:
    system = imitation(tmp_path)
    command = [sys.executable, "-c", DYING, str(tmp_path), str(journal.directory), str(number)]
    died = subprocess.run(
        [*command, *(f"{name}={value}" for name, value in WISHES.items())],
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent / 'src'}"},
        check=False,
    )
    assert died.returncode == -9
    assert tree(tmp_path) != FILES
    engine.undo(journal, engine.newest(journal).number, system)
    assert tree(tmp_path) == FILES


def test_every_fault_is_told_at_once_before_anything_is_written(tmp_path: Path) -> None:
    system = imitation(tmp_path)
    with pytest.raises(UsageError) as refused:
        set_knobs(system, {"thp.enabled": "sometimes", "thp.defrag": "twice", "thp.shmem_enabled": "never"})
    assert len(refused.value.message.splitlines()) == 2
    assert not system.written


def test_an_unknown_knob_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="thp.enable: virtkit knows no such knob") as unknown:
        set_knobs(imitation(tmp_path), {"thp.enable": "never"})
    assert unknown.value.hint == "virtkit host knobs transparent_hugepage"


def test_a_knob_of_the_whole_host_has_no_place(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="one for the whole host"):
        set_knobs(imitation(tmp_path), {"thp.enabled@0": "never"})


def test_what_nobody_may_write_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    system = imitation(tmp_path)
    system.path(f"{THP}/defrag").chmod(0o444)
    with pytest.raises(NotSupportedError, match="thp.defrag: this kernel lets nobody set it while it runs"):
        set_knobs(system, WISHES)
    assert not set_knobs(system, {"thp.defrag": "madvise"})


def test_the_list_has_every_knob_of_the_tree_and_is_json(tmp_path: Path) -> None:
    rows = host.list_knobs(imitation(tmp_path))
    assert [row.setting.name for row in rows] == ["thp.enabled", "thp.defrag", "thp.shmem_enabled"]
    assert rows[0].data()["legal"] == "always | madvise | never"
    assert [row.now for row in host.list_knobs(imitation(tmp_path), "thp.defrag")] == ["madvise"]
    with pytest.raises(NotFoundError, match="families are"):
        host.list_knobs(imitation(tmp_path), "thp")


def coupled(root: Path) -> dict[str, str]:
    return {name: System(root).read(name) for name in COUPLED}


def test_of_two_rivals_the_one_that_was_not_zero_comes_back(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path, COUPLED)
    number = engine.run(set_knobs(system, {"vm.dirty_bytes": "64M"}), system, journal)
    assert (system.read(f"{DIRTY}_bytes"), system.read(f"{DIRTY}_ratio")) == ("67108864", "0")
    engine.undo(journal, number, system)
    assert coupled(tmp_path) == COUPLED
    assert system.written[-1] == (f"{DIRTY}_ratio", "20")


def test_a_rival_that_somebody_set_since_is_a_foreign_change(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path, COUPLED)
    number = engine.run(set_knobs(system, {"vm.dirty_bytes": "64M"}), system, journal)
    system.write(f"{DIRTY}_ratio", "10")
    with pytest.raises(UndoIncompleteError, match="changed by somebody else"):
        engine.undo(journal, number, system)
    assert system.read(f"{DIRTY}_ratio") == "10"


def test_both_rivals_at_once_are_refused_and_zero_is_no_value_for_either(tmp_path: Path) -> None:
    system = imitation(tmp_path, COUPLED)
    with pytest.raises(UsageError, match="expected one of the two"):
        set_knobs(system, {"vm.dirty_bytes": "64M", "vm.dirty_ratio": "10"})
    with pytest.raises(UsageError, match="not 0"):
        set_knobs(system, {"vm.dirty_ratio": "0"})


def test_a_scheduler_comes_before_the_length_of_its_queue_and_brings_it_back(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path, COUPLED)
    wishes = {"block.nr_requests": "128", "block.scheduler@vda": "bfq"}
    plan = set_knobs(system, wishes)
    assert [line.split()[1] for line in plan.lines()] == ["block.scheduler@vda:", "block.nr_requests@vda:"]
    number = engine.run(plan, system, journal)
    assert system.read(f"{QUEUE}/nr_requests") == "128"
    assert not set_knobs(system, wishes)
    engine.undo(journal, number, system)
    assert coupled(tmp_path) == COUPLED


def test_a_word_of_older_kernels_is_answered_with_todays(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cfq was a word of older kernels, today's is bfq") as refused:
        set_knobs(imitation(tmp_path, COUPLED), {"block.scheduler": "cfq"})
    assert refused.value.hint == "virtkit host set block.scheduler@vda=bfq"


def test_stopping_ksm_again_takes_apart_what_it_merged(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path, COUPLED)
    number = engine.run(set_knobs(system, {"ksm.run": "1"}), system, journal)
    engine.undo(journal, number, system)
    assert system.written[1:] == [(f"{KSM}/run", "2"), (f"{KSM}/run", "0")]


def test_what_the_advisor_of_ksm_forbids_is_refused_with_the_way_out(tmp_path: Path, journal: Journal) -> None:
    system = imitation(tmp_path, COUPLED)
    engine.run(set_knobs(system, {"ksm.advisor_mode": "scan-time"}), system, journal)
    with pytest.raises(UsageError, match="ksm.advisor_mode is scan-time, expected none") as refused:
        set_knobs(system, {"ksm.pages_to_scan": "1000"})
    words = refused.value.hint.removeprefix("virtkit host set ").split()
    number = engine.run(set_knobs(system, dict(word.split("=") for word in words)), system, journal)
    assert system.read(f"{KSM}/pages_to_scan") == "1000"
    engine.undo(journal, number, system)
    assert system.read(f"{KSM}/pages_to_scan") == "500"
    engine.undo(journal, 1, system)
    assert coupled(tmp_path) == COUPLED


@settings(max_examples=12, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["vm.dirty_bytes", "vm.dirty_ratio", "block.nr_requests", "ksm.pages_to_scan", "ksm.run"]),
        st.sampled_from(["1", "2"]),
        min_size=1,
    ),
    st.sampled_from(["none", "mq-deadline", "bfq"]),
    st.sampled_from(["ratio", "bytes"]),
)
def test_undo_is_the_way_back_from_whatever_the_kernel_took(wishes: dict[str, str], scheduler: str, ratio: str) -> None:
    with TemporaryDirectory() as folder:
        start = COUPLED | ({} if ratio == "ratio" else {f"{DIRTY}_bytes": "67108864", f"{DIRTY}_ratio": "0"})
        system, journal = imitation(Path(folder), start), Journal(Path(folder) / "journal")
        for name, value in {**wishes, "block.scheduler": scheduler}.items():
            wished = {name: "8192" if name == "vm.dirty_bytes" else "64" if name == "block.nr_requests" else value}
            engine.run(set_knobs(system, wished), system, journal)
        for change in reversed(journal.changes()):
            engine.undo(journal, change.number, system)
        assert coupled(Path(folder)) == start


def test_who_would_set_it_anew_is_named(tmp_path: Path) -> None:
    running = {"/proc/7/comm": "ksmtuned", "/proc/8/comm": "irqbalance"}
    plan = set_knobs(imitation(tmp_path, COUPLED | running), {"ksm.run": "1"})
    assert plan.notes == ("ksm.run: ksmtuned runs and may set it anew",)
