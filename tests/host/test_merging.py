from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.imitation import Imitation
from host.trees import plant
from virtkit import host
from virtkit.core import engine
from virtkit.core.errors import NotFoundError, NotSupportedError, RolledBackError
from virtkit.core.journal import Journal
from virtkit.core.progress import Advanced, Started
from virtkit.core.units import GIB, MIB
from virtkit.host import merging
from virtkit.host.merged import KSM, Taken

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.core.progress import Event
    from virtkit.core.system import System

PAGE = os.sysconf("SC_PAGE_SIZE")
NODES, QEMU = "/sys/devices/system/node", "/proc/77"
PARTS = 3  # in which the imitated kernel takes pages apart
HOST = {
    "/proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
    "/proc/cmdline": "quiet",
    f"{NODES}/node0/cpumap": "3",
    "/usr/lib/tmpfiles.d/x11.conf": "",
}
FILES = HOST | {
    f"{KSM}/run": "0",
    f"{KSM}/advisor_mode": "[none] scan-time",
    f"{KSM}/pages_to_scan": "100",
    f"{KSM}/sleep_millisecs": "20",
    f"{KSM}/merge_across_nodes": "1",
    f"{KSM}/pages_shared": "0",
    f"{KSM}/pages_sharing": "0",
}
MACHINE = {
    f"{QEMU}/comm": "qemu-system-x86",
    f"{QEMU}/cmdline": "qemu-system-x86_64\0-name\0guest=web1\0",
    f"{QEMU}/task/77/status": "Name:\tCPU 0/TCG\nCpus_allowed_list:\t0-1\n",
    f"{QEMU}/smaps_rollup": "Pss: 200 kB\nAnonHugePages: 120 kB\n",
    f"{QEMU}/ksm_stat": "ksm_merging_pages 12\nksm_process_profit -4096\n",
}


@dataclass(frozen=True)
class Ksmd(Imitation):
    """Takes pages apart while it is written to, as the kernel does; ``stops`` with so many left where memory ends."""

    stops: int = 0
    takes: float = 0.0  # seconds for each of PARTS

    def write(self, absolute: str, text: str) -> None:
        if (absolute, text) == (f"{KSM}/run", "2"):
            whole = int(self.read(f"{KSM}/pages_sharing"))
            for part in reversed(range(PARTS)):
                time.sleep(self.takes)
                self.path(f"{KSM}/pages_sharing").write_text(str(max(whole * part // PARTS, self.stops)))
        super().write(absolute, text)


def ksmd(root: Path, files: dict[str, str], stops: int = 0, takes: float = 0.0) -> Ksmd:
    plant(root, FILES | files)
    return Ksmd(root, stops=stops, takes=takes)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def run_time(system: System, *, on: bool) -> list[str]:
    return host.ksm(system, on=on, persistent=False).lines()


def values(system: System, *names: str) -> list[str]:
    return [system.read(f"{KSM}/{name}") for name in names]


def test_the_kernels_own_advisor_sets_the_pace_before_ksm_starts(tmp_path: Path) -> None:
    plan = run_time(ksmd(tmp_path, {}), on=True)
    assert plan == ["~ ksm.advisor_mode: none -> scan-time", "~ ksm.run: 0 -> 1"]


def test_without_an_advisor_the_pace_sees_all_memory_in_its_time(tmp_path: Path) -> None:
    system = ksmd(tmp_path, {})
    system.path(f"{KSM}/advisor_mode").unlink()
    assert run_time(system, on=True) == ["~ ksm.pages_to_scan: 100 -> 500", "~ ksm.run: 0 -> 1"]


@given(st.integers(0, 1 << 45))
def test_no_pace_is_beyond_the_advisors_bounds(total: int) -> None:
    pages = merging.pages_to_scan(total)
    assert 500 <= pages <= 30_000
    if 500 < pages < 30_000:
        assert pages * 10_000 <= total // PAGE < (pages + 1) * 10_000  # 10000 goes of 20 ms are 200 s


@pytest.mark.parametrize(("sharing", "writes"), [("0", True), ("9", False)])
def test_nodes_get_copies_of_their_own_unless_pages_are_merged_already(
    sharing: str,
    writes: bool,  # noqa: FBT001  a parameter of the test
    tmp_path: Path,
) -> None:
    merged = {f"{KSM}/pages_sharing": sharing, f"{KSM}/pages_shared": sharing}
    plan = host.ksm(ksmd(tmp_path, merged | {f"{NODES}/node1/cpumap": "c"}), on=True, persistent=False)
    assert ("~ ksm.merge_across_nodes: 1 -> 0" in plan.lines()) is writes
    assert any("virtkit host ksm off, then on" in note for note in plan.notes) is not writes


def test_the_plan_tells_what_is_lost_with_figures(tmp_path: Path) -> None:
    notes = " ".join(host.ksm(ksmd(tmp_path, MACHINE), on=True, persistent=False).notes)
    assert "machines hold 120 KiB in transparent huge pages (web1 120 KiB)" in notes
    assert "do not trust each other" in notes


def test_a_ksmtuned_that_would_stop_it_again_is_named_with_the_reason(tmp_path: Path) -> None:
    system = ksmd(tmp_path, {"/proc/9/comm": "ksmtuned"})
    assert any("systemctl disable --now ksmtuned" in note for note in host.ksm(system, on=True, persistent=False).notes)
    assert host.ksm_status(system, Journal(tmp_path / "journal")).tuner == "ksmtuned"


def test_off_takes_apart_what_is_merged_and_tells_how_far_it_is(tmp_path: Path, journal: Journal) -> None:
    system = ksmd(tmp_path, {f"{KSM}/run": "1", f"{KSM}/pages_sharing": "900"}, takes=0.11)
    events: list[Event] = []
    engine.run(host.ksm(system, on=False, persistent=False), system, journal, events.append)
    assert values(system, "run", "pages_sharing") == ["2", "0"]
    assert Started("take merged pages apart", 900, unit="pages") in events
    assert len({event.done for event in events if isinstance(event, Advanced)}) >= PARTS - 1
    assert not host.ksm(system, on=False)


def test_what_was_stopped_without_being_taken_apart_is_not_off(tmp_path: Path) -> None:
    assert run_time(ksmd(tmp_path, {f"{KSM}/pages_sharing": "900"}), on=False) == ["~ ksm.run: 0 -> 2"]


@pytest.mark.parametrize("run", ["0", "2"])
def test_where_nothing_is_merged_and_nobody_merges_it_is_off_already(run: str, tmp_path: Path) -> None:
    assert not host.ksm(ksmd(tmp_path, {f"{KSM}/run": run}), on=False)


def test_off_keeps_it_off_at_boot_where_some_file_turns_it_on(tmp_path: Path) -> None:
    system = ksmd(tmp_path, {"/etc/tmpfiles.d/90-mine.conf": f"w {KSM}/run - - - - 1\n"})
    (line,) = host.ksm(system, on=False).lines()[1:]
    assert line == "~ /etc/tmpfiles.d/60-virtkit-ksm.conf: ksm.run=2 from the next boot on"
    system.path("/etc/tmpfiles.d/90-mine.conf").unlink()
    assert not host.ksm(system, on=False)


def test_on_is_kept_over_restarts_as_a_whole(tmp_path: Path, journal: Journal) -> None:
    system = ksmd(tmp_path, {})
    number = engine.run(host.ksm(system, on=True), system, journal)
    kept = system.read("/etc/tmpfiles.d/60-virtkit-ksm.conf").splitlines()
    assert kept[-2:] == [f"w {KSM}/advisor_mode - - - - scan-time", f"w {KSM}/run - - - - 1"]
    assert not host.ksm(system, on=True)
    engine.undo(journal, number, system)
    assert not system.exists("/etc/tmpfiles.d/60-virtkit-ksm.conf")


@pytest.mark.parametrize("pages", [4 * GIB // PAGE, 3796 * MIB // PAGE])
def test_off_is_refused_before_anything_is_touched_where_the_host_has_no_room(pages: int, tmp_path: Path) -> None:
    """4 GiB are available, of which 5 % of 8 GiB stay with the host."""
    system = ksmd(tmp_path, {f"{KSM}/run": "1", f"{KSM}/pages_sharing": str(pages)})
    with pytest.raises(NotSupportedError, match=r"are merged and need room of their own, the host can spare 3.6 GiB"):
        host.ksm(system, on=False)
    system.write(f"{KSM}/pages_sharing", str(3600 * MIB // PAGE))
    assert host.ksm(system, on=False, persistent=False)


def test_room_that_went_since_the_plan_was_made_is_missed(tmp_path: Path, journal: Journal) -> None:
    system = ksmd(tmp_path, {f"{KSM}/run": "1", f"{KSM}/pages_sharing": "900"})
    plan = host.ksm(system, on=False, persistent=False)
    plant(tmp_path, {"/proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 400000 kB\n"})
    with pytest.raises(RolledBackError, match="can spare 0 B"):
        engine.run(plan, system, journal)
    assert not system.written


def test_a_kernel_that_stops_half_way_is_no_success_and_ksm_goes_on(tmp_path: Path, journal: Journal) -> None:
    system = ksmd(tmp_path, {f"{KSM}/run": "1", f"{KSM}/pages_sharing": "900"}, stops=300)
    with pytest.raises(RolledBackError, match="300 pages are merged still, expected none"):
        engine.run(host.ksm(system, on=False, persistent=False), system, journal)
    assert values(system, "run") == ["1"]


def test_undo_of_on_takes_apart_what_was_merged_since(tmp_path: Path, journal: Journal) -> None:
    system = ksmd(tmp_path, {})
    number = engine.run(host.ksm(system, on=True, persistent=False), system, journal)
    assert not host.ksm(system, on=True, persistent=False)
    system.write(f"{KSM}/pages_sharing", "500")
    engine.undo(journal, number, system)
    assert values(system, "run", "advisor_mode", "pages_sharing") == ["0", "[none] scan-time", "0"]


def test_undo_of_on_leaves_merged_what_was_merged_before(tmp_path: Path, journal: Journal) -> None:
    system = ksmd(tmp_path, {f"{KSM}/pages_sharing": "500"})
    number = engine.run(host.ksm(system, on=True, persistent=False), system, journal)
    engine.undo(journal, number, system)
    assert values(system, "run", "pages_sharing") == ["0", "500"]


def test_undo_of_off_lets_it_merge_again(tmp_path: Path, journal: Journal) -> None:
    system = ksmd(tmp_path, {f"{KSM}/run": "1", f"{KSM}/pages_sharing": "500"})
    number = engine.run(host.ksm(system, on=False, persistent=False), system, journal)
    engine.undo(journal, number, system)
    assert values(system, "run") == ["1"]


def test_setting_the_knob_goes_the_same_way(tmp_path: Path, journal: Journal) -> None:
    system = ksmd(tmp_path, {f"{KSM}/run": "1", f"{KSM}/pages_sharing": "500"})
    events: list[Event] = []
    engine.run(host.set_knobs(system, {"ksm.run": "2"}, persistent=False), system, journal, events.append)
    assert any(isinstance(event, Advanced) for event in events)


def test_a_machine_is_held_against_what_it_took_before(tmp_path: Path, journal: Journal) -> None:
    system = ksmd(tmp_path, MACHINE)
    assert host.ksm_status(system, journal).gains[0].before is None
    engine.run(host.ksm(system, on=True, persistent=False), system, journal)
    plant(tmp_path, {f"{QEMU}/smaps_rollup": "Pss: 150 kB\nAnonHugePages: 40 kB\n"})
    gain = host.ksm_status(system, journal).gains[0]
    assert gain == merging.Gain(
        "web1", 77, Taken(150 * 1024, 40 * 1024), Taken(200 * 1024, 120 * 1024), merged=12 * PAGE, saved=-4096
    )


def test_a_host_without_ksm_says_so(tmp_path: Path, journal: Journal) -> None:
    system = plant(tmp_path, HOST)
    for on in (True, False):
        with pytest.raises(NotFoundError, match="KSM: this kernel has none"):
            host.ksm(system, on=on)
    assert host.ksm_status(system, journal).ksm is None
