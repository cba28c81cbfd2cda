"""Starting and stopping: a guest that listens, and a machine where nobody does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from guest import machines
from guest.test_attach import sources
from virtkit import vm
from virtkit.core import engine
from virtkit.core.errors import RolledBackError
from virtkit.core.system import System
from virtkit.vm import connection

if TYPE_CHECKING:
    from guest.machines import Lan
    from virtkit.core.journal import Journal

pytestmark = pytest.mark.guest


def state(name: str) -> str:
    return machines.virsh("domstate", name)


def test_a_started_machine_runs_and_undo_turns_it_off(idle: str, journal: Journal) -> None:
    number = machines.carry_out(vm.start(idle), journal)
    assert state(idle) == "running"
    assert not vm.start(idle)
    machines.virsh("destroy", idle)
    engine.undo(journal, number, System())
    engine.undo(journal, number, System())
    assert state(idle) == "shut off"


def test_a_guest_that_does_not_react_is_left_running_and_the_way_on_is_said(idle: str, journal: Journal) -> None:
    machines.virsh("start", idle)
    began = time.monotonic()
    with pytest.raises(RolledBackError, match="did not shut down within 2 s, and is left running") as caught:
        machines.carry_out(vm.stop(idle, seconds=2), journal)
    assert caught.value.hint == f"virtkit vm kill {idle}"
    assert time.monotonic() - began < 6
    assert state(idle) == "running"


def test_force_takes_it_off_and_undo_starts_it_again(idle: str, journal: Journal) -> None:
    machines.virsh("start", idle)
    number = machines.carry_out(vm.kill(idle), journal)
    assert state(idle) == "shut off"
    engine.undo(journal, number, System())
    assert state(idle) == "running"


def test_undo_of_a_stop_leaves_a_machine_alone_that_runs_again(idle: str, journal: Journal) -> None:
    machines.virsh("start", idle)
    number = machines.carry_out(vm.kill(idle), journal)
    machines.virsh("start", idle)
    before = machines.virsh("domid", idle)
    engine.undo(journal, number, System())
    assert machines.virsh("domid", idle) == before


def test_undo_of_a_start_is_nothing_to_do_where_the_machine_is_gone(idle: str, journal: Journal) -> None:
    number = machines.carry_out(vm.start(idle), journal)
    machines.remove(idle)
    engine.undo(journal, number, System())


def test_what_cannot_start_is_put_back_with_libvirts_reason(idle: str, journal: Journal) -> None:
    nic = "<interface type='bridge'><source bridge='vkt-none'/><model type='virtio'/></interface>"
    machines.define(machines.virsh("dumpxml", idle).replace("</devices>", f"{nic}</devices>"))
    with pytest.raises(RolledBackError, match="vkt-none"):
        machines.carry_out(vm.start(idle), journal)
    assert state(idle) == "shut off"


def test_the_uri_is_kept_with_the_action(idle: str, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    number = machines.carry_out(vm.autostart(idle), journal)
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///default")
    engine.undo(journal, number, System())
    assert "disable" in machines.virsh("dominfo", idle).partition("Autostart:")[2].split()[0]


def test_a_guest_goes_down_to_be_plugged_in_elsewhere_and_undo_boots_it_again_as_it_was(
    guest: str, lans: tuple[Lan, Lan], journal: Journal
) -> None:
    """``vm attach --restart``: stop, move, start, and the same back."""
    here, there = lans
    first = machines.virsh("domid", guest)
    number = machines.carry_out(vm.attach(guest, there.bridge, restart=True), journal)
    second = machines.virsh("domid", guest)
    assert (first != second, state(guest), sources(guest)) == (True, "running", (there.bridge, there.bridge))
    vm.wait_for_agent(guest, machines.BOOT_SECONDS)
    engine.undo(journal, number, System())
    assert (state(guest), sources(guest)) == ("running", (here.bridge, here.bridge))
    assert machines.virsh("domid", guest) not in {first, second}
    vm.wait_for_agent(guest, machines.BOOT_SECONDS)


def test_the_power_button_alone_is_enough(guest: str, journal: Journal) -> None:
    with connection.open() as libvirt:
        machine = libvirt.machine(guest)
        machine.press_power_button()
        assert machine.wait_until_off(30)
        machine.start()
    vm.wait_for_agent(guest, machines.BOOT_SECONDS)


def test_programs_run_in_the_guest_and_their_ends_are_told_apart(guest: str) -> None:
    said = vm.execute(guest, ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])
    assert said == (3, "out\n", "err\n")
    assert vm.execute(guest, ["/bin/sh", "-c", "kill -TERM $$"]).status == 128 + 15
    assert "virtkit demo guest" in vm.os_info(guest)["pretty-name"]


def test_the_cache_mode_is_the_one_that_qemu_has(guest: str) -> None:
    (disk,) = vm.block_cache(guest)
    assert (disk.target, disk.mode, disk.direct, disk.writeback, disk.no_flush) == ("vda", "none", True, True, False)
    assert vm.execute(guest, ["cat", "/sys/block/vda/queue/write_cache"]).stdout == "write back\n"
