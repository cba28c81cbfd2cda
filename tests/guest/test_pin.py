"""Pinning, judged by taskset: every thread of the real QEMU process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guest import machines
from virtkit import vm
from virtkit.core import engine
from virtkit.core.errors import UsageError, VerifyError
from virtkit.core.journal import Journal
from virtkit.core.system import System
from virtkit.recipes.placement import auto
from virtkit.vm import connection, library, pinning
from virtkit.vm.actions import Pin
from virtkit.vm.pinning import Pins

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs"),
]

UNDO = "import sys; from virtkit.cli.main import main; sys.exit(main(['undo', '-y']))"


def affinities(name: str) -> dict[str, set[str]]:
    """By thread's name, as taskset reads them."""
    pid = Path(f"/run/libvirt/qemu/{name}.pid").read_text().strip()
    found: dict[str, set[str]] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        said = machines.run("taskset", "--cpu-list", "--pid", task.name).rpartition(": ")[2].strip()
        found.setdefault((task / "comm").read_text().strip(), set()).add(said)
    return found


def tune(name: str) -> str:
    dump = machines.virsh("dumpxml", "--inactive", name)
    return dump.partition("<cputune>")[2].partition("</cputune>")[0]


def test_every_thread_is_where_it_was_asked_to_be_and_undo_brings_all_back(guest: str, journal: Journal) -> None:
    before, config = affinities(guest), tune(guest)
    number = machines.carry_out(vm.pin(guest, "0=1,1=0", emulator="1"), journal)
    seen = affinities(guest)
    assert (seen.pop("CPU 0/TCG"), seen.pop("CPU 1/TCG")) == ({"1"}, {"0"})
    assert set.union(*seen.values()) == {"1"}
    assert "vcpu='0' cpuset='1'" in tune(guest)
    assert not vm.pin(guest, "0=1,1=0", emulator="1")
    engine.undo(journal, number, System())
    after = affinities(guest)
    assert {name: after[name] for name in before if name in after} == {n: before[n] for n in before if n in after}
    assert tune(guest) == config == ""


def test_pins_survive_the_next_start_and_undo_then_changes_the_running_machine_too(
    guest: str, journal: Journal
) -> None:
    number = machines.carry_out(vm.pin(guest, "0=1"), journal)
    machines.virsh("destroy", guest)
    machines.virsh("start", guest)
    assert affinities(guest)["CPU 0/TCG"] == {"1"}
    engine.undo(journal, number, System())
    assert affinities(guest)["CPU 0/TCG"] == affinities(guest)["CPU 1/TCG"] != {"1"}
    vm.wait_for_agent(guest, machines.BOOT_SECONDS)


def test_a_change_killed_half_way_is_put_back_by_another_process(guest: str, tmp_path: Path) -> None:
    """The first pin took, the journal says so, and the process is gone: as after SIGKILL."""
    state = tmp_path / "state"
    journal = Journal(state / "journal")
    action = Pin(guest, {"0": "1", "1": "1"}, "1")
    with journal.begin(vm.pin(guest, "0=1,1=1", emulator="1")) as log:
        log.write("before", step=0, state=action.capture(System()))
        with connection.open() as libvirt:
            libvirt.named(guest).pin_vcpu(0, (1,), library.LIVE | library.CONFIG)
    assert affinities(guest)["CPU 0/TCG"] == {"1"}
    path = os.pathsep.join(filter(None, sys.path))
    environment = os.environ | {"VIRTKIT_STATE_DIR": str(state), "PYTHONPATH": path}
    subprocess.run([sys.executable, "-c", UNDO], check=True, env=environment, capture_output=True)
    assert affinities(guest)["CPU 0/TCG"] != {"1"}
    assert tune(guest) == ""


def test_auto_gives_each_vcpu_a_cpu_of_its_own(guest: str, journal: Journal) -> None:
    number = machines.carry_out(auto.pin(guest), journal)
    seen = affinities(guest)
    assert len(seen["CPU 0/TCG"] | seen["CPU 1/TCG"]) == 2
    engine.undo(journal, number, System())


def test_a_thread_that_somebody_moved_is_noticed(guest: str, journal: Journal) -> None:
    number = machines.carry_out(vm.pin(guest, "0=1"), journal)
    machines.virsh("vcpupin", guest, "0", "0", "--live")
    with connection.open() as libvirt, pytest.raises(VerifyError, match=r"CPU 0/TCG\) may run on CPU 0, expected 1"):
        pinning.verify(libvirt.named(guest), Pins({0: (1,)}), System())
    assert vm.pin(guest, "0=1")  # there is something to do again
    engine.undo(journal, number, System())


def test_a_machine_that_is_off_is_pinned_for_its_next_start(idle: str, journal: Journal) -> None:
    number = machines.carry_out(vm.pin(idle, "1=0", emulator="1"), journal)
    assert "vcpu='1' cpuset='0'" in tune(idle)
    machines.virsh("start", idle)
    assert affinities(idle)["CPU 1/TCG"] == {"0"}
    machines.virsh("destroy", idle)
    engine.undo(journal, number, System())
    assert tune(idle) == ""


def test_what_the_host_or_the_machine_has_not_is_refused(idle: str) -> None:
    with pytest.raises(UsageError, match="CPU 4000 is not online"):
        vm.pin(idle, "0=4000")
    with pytest.raises(UsageError, match="vCPU is 2, expected 0 to 1"):
        vm.pin(idle, "2=0")
