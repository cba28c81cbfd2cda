from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from host.imitation import FILES, THP, Imitation, imitation
from virtkit import host
from virtkit.core import engine
from virtkit.core.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

OURS = "/etc/tmpfiles.d/60-virtkit-transparent-hugepage.conf"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


@pytest.fixture
def system(tmp_path: Path) -> Imitation:
    return imitation(tmp_path / "host", FILES | {"/usr/lib/tmpfiles.d/x.conf": ""})


def set_knobs(system: Imitation, journal: Journal, *, run_time: bool = True, persistent: bool = True) -> int:
    wished = {"thp.enabled": "never", "thp.defrag": "defer"}
    plan = host.set_knobs(system, wished, run_time=run_time, persistent=persistent)
    return engine.run(plan, system, journal)


def drift(system: Imitation, journal: Journal) -> dict[str, tuple[str, ...]]:
    return {verdict.name: verdict.drift for verdict in host.verify(system, journal)}


def test_what_was_set_and_stays_is_no_drift(system: Imitation, journal: Journal) -> None:
    assert drift(system, journal) == {}
    set_knobs(system, journal)
    assert drift(system, journal) == {"thp.enabled": (), "thp.defrag": ()}


def test_a_value_that_somebody_set_since_is_named(system: Imitation, journal: Journal) -> None:
    set_knobs(system, journal)
    system.write(f"{THP}/enabled", "always")
    assert drift(system, journal) == {"thp.enabled": ("is always now, wanted never",), "thp.defrag": ()}


def test_a_file_that_would_win_at_the_next_boot_is_named_with_its_line(system: Imitation, journal: Journal) -> None:
    set_knobs(system, journal)
    system.replace("/etc/tmpfiles.d/10-late.conf", f"w {THP}/defrag - - - - always\n".encode())
    assert drift(system, journal)["thp.defrag"] == ("/etc/tmpfiles.d/10-late.conf:1 sets always at boot, wanted defer",)
    system.remove("/etc/tmpfiles.d/10-late.conf")
    system.remove(OURS)
    assert drift(system, journal)["thp.defrag"] == ("no file sets it at boot, wanted defer",)


def test_what_was_undone_is_not_wanted_any_more(system: Imitation, journal: Journal) -> None:
    engine.undo(journal, set_knobs(system, journal), system)
    assert drift(system, journal) == {}


def test_what_is_for_the_next_boot_waits_for_it(system: Imitation, journal: Journal) -> None:
    set_knobs(system, journal, run_time=False)
    verdicts = host.verify(system, journal)
    assert [(verdict.drift, verdict.note) for verdict in verdicts] == [((), "waits for the next boot")] * 2
    assert json.dumps([verdict.data() for verdict in verdicts])


def test_after_a_restart_only_what_was_kept_is_wanted(
    system: Imitation, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run(host.set_knobs(system, {"thp.shmem_enabled": "advise"}, persistent=False), system, journal)
    set_knobs(system, journal)
    monkeypatch.setattr("virtkit.core.change.boot_id", lambda: "another boot")
    system.write(f"{THP}/defrag", "madvise")
    assert drift(system, journal) == {"thp.enabled": (), "thp.defrag": ("is madvise now, wanted defer",)}
