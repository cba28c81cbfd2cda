from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from host.imitation import FILES, THP, imitation
from support.steps import TESTS
from virtkit import host
from virtkit.core.errors import BusyError, RolledBackError
from virtkit.core.journal import Journal
from virtkit.core.processes import processes
from virtkit.recipes.loan import borrowed

if TYPE_CHECKING:
    from pathlib import Path

    from host.imitation import Imitation
    from virtkit.core.plan import Plan
    from virtkit.core.system import System

WISHES = {"thp.enabled": "never"}
BORROWER = """
import os, signal, sys
from pathlib import Path
from host.imitation import Imitation, THP
from virtkit import host
from virtkit.core.journal import Journal
from virtkit.recipes.loan import borrowed
system = Imitation(Path(sys.argv[1]))
with borrowed(host.set_knobs(system, {"thp.enabled": "never"}, persistent=False), system, Journal(Path(sys.argv[2]))):
    system.write(f"{THP}/enabled", "always")
    print(system.read(f"{THP}/enabled"), flush=True)
    os.kill(os.getpid(), int(sys.argv[3]))
"""


@pytest.fixture
def system(tmp_path: Path) -> Imitation:
    return imitation(tmp_path)


@pytest.fixture
def plan(system: Imitation) -> Plan:
    return host.set_knobs(system, WISHES, persistent=False)


def enabled(system: System) -> str:
    return system.read(f"{THP}/enabled")


def test_it_is_so_within_the_block_and_as_before_behind_it(system: Imitation, plan: Plan, tmp_path: Path) -> None:
    with borrowed(plan, system, Journal(tmp_path / "journal")):
        assert enabled(system) == "always madvise [never]"
    assert enabled(system) == FILES[f"{THP}/enabled"]


def test_what_the_block_does_to_the_same_knob_goes_back_too(system: Imitation, plan: Plan, tmp_path: Path) -> None:
    with borrowed(plan, system, Journal(tmp_path / "journal")):
        system.write(f"{THP}/enabled", "always")
    assert enabled(system) == FILES[f"{THP}/enabled"]


def test_an_error_in_the_block_comes_out_of_it_after_all_went_back(
    system: Imitation, plan: Plan, tmp_path: Path
) -> None:
    with pytest.raises(ZeroDivisionError), borrowed(plan, system, Journal(tmp_path / "journal")):
        _ = 1 / 0
    assert enabled(system) == FILES[f"{THP}/enabled"]


def test_what_cannot_be_borrowed_is_not_measured(tmp_path: Path) -> None:
    system = imitation(tmp_path, deaf=frozenset({f"{THP}/enabled"}))
    plan = host.set_knobs(system, WISHES, persistent=False)
    with pytest.raises(RolledBackError), borrowed(plan, system, Journal(tmp_path / "journal")):
        pytest.fail("the block ran")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_death_in_the_block_brings_everything_back_without_anybody_asking(
    number: int, system: Imitation, tmp_path: Path
) -> None:
    """The keeper has the borrower's standard output: it ends when both have."""
    died = subprocess.run(
        [sys.executable, "-c", BORROWER, str(tmp_path), str(tmp_path / "journal"), str(int(number))],
        env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent / 'src'}"},
        capture_output=True,
        check=False,
    )
    assert died.returncode == -number, died.stderr
    assert died.stdout == b"[always] madvise never\n"
    assert enabled(system) == FILES[f"{THP}/enabled"]
    assert [change.state for change in Journal(tmp_path / "journal").changes()] == ["undone"]


def test_a_keeper_that_is_killed_is_not_needed(system: Imitation, plan: Plan, tmp_path: Path) -> None:
    with borrowed(plan, system, Journal(tmp_path / "journal")):
        keeper = next(one for one in processes() if one.session == one.pid and _parent(one.pid) == os.getpid())
        os.kill(keeper.pid, signal.SIGKILL)
    assert enabled(system) == FILES[f"{THP}/enabled"]


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def test_only_one_borrows_at_a_time(system: Imitation, plan: Plan, tmp_path: Path) -> None:
    """A second one would take what is only lent for what was there before."""
    with borrowed(plan, system, Journal(tmp_path / "journal")):
        other = host.set_knobs(system, {"thp.defrag": "defer"}, persistent=False)
        with (
            pytest.raises(BusyError, match="another measurement"),
            borrowed(other, system, Journal(tmp_path / "journal")),
        ):
            pytest.fail("the block ran")
    assert enabled(system) == FILES[f"{THP}/enabled"]
    with borrowed(plan, system, Journal(tmp_path / "journal")):
        pass


def test_nothing_to_borrow_starts_nobody(system: Imitation, tmp_path: Path) -> None:
    with borrowed(
        host.set_knobs(system, {"thp.enabled": "madvise"}, persistent=False), system, Journal(tmp_path / "journal")
    ):
        assert not (tmp_path / "journal").exists()
