"""Defining and forgetting machines: through the engine, on a real libvirtd."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from guest import machines
from virtkit import vm
from virtkit.core import engine
from virtkit.core.errors import BusyError, ConflictError, NotSupportedError, RolledBackError, UndoIncompleteError
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.core.units import MIB
from virtkit.vm.actions import Define
from virtkit.vm.blueprint import Blueprint, Disk, Nic, machine_xml
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.journal import Journal

pytestmark = pytest.mark.guest

FULL = Blueprint(
    "vkt-full",
    256 * MIB,
    3,
    (Disk("/images/a b&c.qcow2", "qcow2", "none", "native"), Disk("/dev/vg/x", "raw", "directsync", "io_uring")),
    (Nic(bridge="br0", mac="52:54:00:00:00:01"), Nic(network="default")),
    kvm=False,
    uuid="0b8a1e6e-7f3a-4c1e-9f33-0d0f3a1b2c3d",
    title="A <title> & more",
    serial_log="/var/log/libvirt/qemu/vkt-full.log",
    kernel="/boot/vmlinuz",
    initramfs="/boot/initrd",
    kernel_arguments='console=ttyS0 quote="x"',
)


@pytest.fixture
def name(journal: Journal) -> Iterator[str]:
    chosen = machines.unique("new")
    try:
        yield chosen
    finally:
        machines.remove(chosen)


def dump(name: str) -> str:
    return machines.virsh("dumpxml", "--inactive", "--security-info", name)


def content(name: str) -> list[str]:
    """Without the order: libvirt puts the controllers that it added elsewhere when its XML is defined again."""
    return sorted(dump(name).splitlines())


def exists(name: str) -> bool:
    return name in machines.virsh("list", "--all", "--name").split()


@pytest.mark.parametrize("plan", [FULL, replace(FULL, chipset="pc", uuid=""), Blueprint("x", MIB, 1, kvm=False)])
def test_libvirt_accepts_all_that_a_blueprint_builds(plan: Blueprint, name: str, journal: Journal) -> None:
    machines.carry_out(vm.define(machine_xml(replace(plan, name=name))), journal)
    kept = Domain.parse(dump(name))
    assert kept.essentials() == Domain.parse(machine_xml(replace(plan, name=name))).essentials()
    assert kept.machine.startswith("pc-q35" if plan.chipset == "q35" else "pc-i440fx")
    assert vm.show(name).made_by_virtkit


def test_a_kvm_machine_is_defined_where_libvirt_offers_kvm(name: str, journal: Journal) -> None:
    if "<domain type='kvm'/>" not in machines.virsh("capabilities"):
        pytest.skip("this host offers no KVM")
    machines.carry_out(vm.define(machine_xml(replace(FULL, name=name, kvm=True))), journal)
    assert vm.show(name).summary.kvm


def test_the_xml_that_libvirt_emits_survives_reading_and_writing(idle: str) -> None:
    before = content(idle)
    machines.define(Domain.parse(dump(idle)).text())
    assert content(idle) == before


def test_undo_forgets_what_was_defined_and_twice_is_no_fault(name: str, journal: Journal) -> None:
    number = machines.carry_out(vm.define(machines.idle_xml(name)), journal)
    assert exists(name)
    engine.undo(journal, number, System())
    engine.undo(journal, number, System())
    assert not exists(name)


def test_undo_of_a_machine_that_somebody_undefined_is_nothing_to_do(name: str, journal: Journal) -> None:
    number = machines.carry_out(vm.define(machines.idle_xml(name)), journal)
    machines.virsh("undefine", name)
    engine.undo(journal, number, System())
    assert not exists(name)


def test_a_machine_that_is_there_is_not_replaced_unasked(idle: str, journal: Journal) -> None:
    before = content(idle)
    with pytest.raises(ConflictError, match="exists already"):
        vm.define(machines.idle_xml(idle, memory=32 * MIB))
    with pytest.raises(RolledBackError, match="exists already; nothing|exists already; everything"):
        machines.carry_out(Plan("define", (Define(idle, machines.idle_xml(idle, memory=32 * MIB)),)), journal)
    assert content(idle) == before


def test_a_machine_that_changed_since_the_plan_is_not_replaced(idle: str, journal: Journal) -> None:
    plan = vm.define(machines.idle_xml(idle, memory=32 * MIB), replace=True)
    machines.virsh("setmaxmem", idle, "128M", "--config")
    before = content(idle)
    with pytest.raises(RolledBackError, match="changed since the plan was made"):
        machines.carry_out(plan, journal)
    assert content(idle) == before


def test_a_replaced_machine_keeps_its_uuid_and_comes_back_line_for_line(idle: str, journal: Journal) -> None:
    before, uuid = content(idle), machines.virsh("domuuid", idle)
    number = machines.carry_out(vm.define(machines.idle_xml(idle, memory=32 * MIB), replace=True), journal)
    assert Domain.parse(dump(idle)).memory == 32 * MIB
    assert machines.virsh("domuuid", idle) == uuid
    engine.undo(journal, number, System())
    assert content(idle) == before


def test_another_uuid_under_the_same_name_is_a_conflict(idle: str) -> None:
    domain = Domain.parse(machines.idle_xml(idle))
    domain.uuid = FULL.uuid
    with pytest.raises(ConflictError, match="exists already, with UUID"):
        vm.define(domain.text(), replace=True)


def test_undo_stops_where_somebody_else_changed_the_machine(name: str, journal: Journal) -> None:
    number = machines.carry_out(vm.define(machines.idle_xml(name)), journal)
    machines.virsh("setmaxmem", name, "128M", "--config")
    with pytest.raises(UndoIncompleteError, match="changed by somebody else since"):
        engine.undo(journal, number, System())
    assert exists(name)


def test_undo_does_not_forget_a_machine_that_runs(name: str, journal: Journal) -> None:
    number = machines.carry_out(vm.define(machines.idle_xml(name)), journal)
    machines.virsh("start", name)
    with pytest.raises(UndoIncompleteError, match="is running, expected shut off"):
        engine.undo(journal, number, System())
    assert machines.virsh("domstate", name) == "running"
    machines.virsh("destroy", name)
    engine.undo(journal, number, System())
    assert not exists(name)


def test_what_is_undefined_comes_back_with_its_autostart(idle: str, journal: Journal) -> None:
    machines.virsh("autostart", idle)
    before = content(idle)
    number = machines.carry_out(vm.undefine(idle), journal)
    assert not exists(idle)
    engine.undo(journal, number, System())
    assert content(idle) == before
    assert vm.show(idle).summary.autostart


def test_a_running_machine_is_not_undefined(idle: str) -> None:
    machines.virsh("start", idle)
    with pytest.raises(BusyError) as caught:
        vm.undefine(idle)
    assert caught.value.hint == f"virtkit vm stop {idle}"


def test_a_saved_memory_image_is_not_thrown_away_and_a_start_says_that_it_goes_on_from_it(
    name: str, journal: Journal
) -> None:
    number = machines.carry_out(vm.define(machines.idle_xml(name)), journal)
    machines.virsh("start", name)
    machines.virsh("managedsave", name)
    with pytest.raises(BusyError, match="holds a saved memory image"):
        vm.undefine(name)
    with pytest.raises(UndoIncompleteError, match="holds a saved memory image"):
        engine.undo(journal, number, System())
    assert vm.start(name).notes == ("it goes on from its saved memory image",)
    assert exists(name)


def test_a_password_never_gets_into_the_journal(idle: str, journal: Journal) -> None:
    secret = "s3cr3tw0"
    with_password = dump(idle).replace("</devices>", f"<graphics type='vnc' passwd='{secret}'/></devices>")
    machines.define(with_password)
    with pytest.raises(RolledBackError, match="holds a password"):
        machines.carry_out(vm.undefine(idle), journal)
    with pytest.raises(RolledBackError, match="holds a password"):
        machines.carry_out(vm.define(machines.idle_xml(idle), replace=True), journal)
    with pytest.raises(NotSupportedError, match="holds a password"):
        vm.define(with_password, replace=True)
    assert secret in dump(idle)
    assert all(secret not in path.read_text() for path in journal.directory.iterdir())


def test_starting_with_the_host_is_turned_on_and_back_off(idle: str, journal: Journal) -> None:
    number = machines.carry_out(vm.autostart(idle), journal)
    assert "enable" in machines.virsh("dominfo", idle).partition("Autostart:")[2].split()[0]
    assert not vm.autostart(idle)
    engine.undo(journal, number, System())
    assert "disable" in machines.virsh("dominfo", idle).partition("Autostart:")[2].split()[0]
