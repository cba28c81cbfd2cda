"""Backups of real machines, restored and compared byte by byte by qemu-img, with what the disks were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from guest.machines import eventually
from virtkit.vm.blueprint import machine_xml
from virtkit.vm.domain import Domain
from vmhost import hosts
from vmhost.dying import die_at
from vmhost.hosts import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

MIB = 1 << 20


@pytest.fixture
def still(kvm: Host, name: str) -> Iterator[str]:
    """A machine that is off, with one disk of 16 MiB."""
    kvm.define(machine_xml(hosts.idle(name, kvm.disk(f"{name}.qcow2"))))
    yield name
    clean(kvm, name)


@pytest.fixture
def target(kvm: Host, name: str) -> str:
    return f"{IMAGES}/{name}-backups"


def clean(kvm: Host, name: str) -> None:
    for checkpoint in kvm.virsh("checkpoint-list", name, "--name", check=False).split():
        kvm.virsh("checkpoint-delete", name, checkpoint, "--metadata", check=False)
    kvm.run("sh", "-c", f"rm -rf {IMAGES}/{name}*")


def backup(host: Host, *words: str) -> str:
    return host.virtkit("vm", "backup", *words, "-y").stdout


def listed(host: Host, target: str) -> list[str]:
    return [each["kind"] for each in host.json("vm", "backup", "list", target)["backups"]]


def disk(host: Host, name: str) -> str:
    return Domain.parse(host.virsh("dumpxml", name)).disks[0].source


def write(host: Host, file: str, pattern: str, at: str) -> None:
    host.run("qemu-io", "-c", f"write -P {pattern} {at} 1M", file)


def same(host: Host, one: str, other: str) -> bool:
    return host.run("qemu-img", "compare", one, other, check=False).returncode == 0


def restored(host: Host, target: str, name: str, number: int) -> str:
    """The first disk of the new machine that point ``number`` becomes."""
    host.virtkit("vm", "backup", "restore", target, name, "--number", str(number), "-y")
    return disk(host, name)


def test_a_chain_of_a_machine_that_is_off_is_restored_byte_by_byte(kvm: Host, still: str, target: str) -> None:
    file, kept = disk(kvm, still), []
    for number, (pattern, at) in enumerate((("0x11", "0"), ("0x22", "4M"), ("0x33", "512k")), 1):
        write(kvm, file, pattern, at)
        kept.append(f"{IMAGES}/{still}-then{number}.qcow2")
        kvm.run("cp", file, kept[-1])
        backup(kvm, still, target, "--incremental")
        assert kvm.virsh("domstate", still) == "shut off"
    assert listed(kvm, target) == ["full", "incremental", "incremental"]
    takes = [each["takes"] for each in kvm.json("vm", "backup", "list", target)["backups"]]
    assert takes[1] < 2 * MIB
    for number, then in enumerate(kept, 1):
        new = f"{still}-new{number}"
        try:
            assert same(kvm, restored(kvm, target, new, number), then)
        finally:
            kvm.remove(new)
    assert "✓ backup 3" in kvm.virtkit("vm", "backup", "verify", target).stdout
    old, new = (Domain.parse(kvm.virsh("dumpxml", still)), f"{still}-last")
    restored(kvm, target, new, 3)
    assert Domain.parse(kvm.virsh("dumpxml", new)).uuid != old.uuid
    kvm.remove(new)


def test_a_running_guest_is_backed_up_while_it_goes_on(kvm: Host, guest: str) -> None:
    target = f"{IMAGES}/{guest}-backups"
    file, base = disk(kvm, guest), "dd if=/dev/urandom of=/dev/vda bs=1M conv=fsync 2>/dev/null count=1 seek="
    try:
        kvm.shell(guest, f"{base}1")
        backup(kvm, guest, target)
        kvm.shell(guest, f"{base}6")
        told = kvm.virtkit("vm", "backup", guest, target, "--incremental", "--plan", check=False).stdout
        assert "what changed of vda" in told
        backup(kvm, guest, target, "--incremental")
        assert listed(kvm, target) == ["full", "incremental"]
        assert kvm.answers(guest)
        chain = kvm.run("qemu-img", "info", "--backing-chain", f"{target}/0002/vda.qcow2").stdout
        assert file not in chain, "the machine's own disk goes on: no backup may stand on it"
        assert "0001/vda.qcow2" in chain
        assert kvm.run("qemu-img", "compare", "-U", file, f"{target}/0002/vda.qcow2").returncode == 0
        assert kvm.run("qemu-img", "compare", "-U", file, f"{target}/0001/vda.qcow2", check=False).returncode == 1
        assert len(kvm.virsh("checkpoint-list", guest, "--name").split()) == 1
    finally:
        clean_guest(kvm, guest)


def clean_guest(kvm: Host, guest: str) -> None:
    for checkpoint in kvm.virsh("checkpoint-list", guest, "--name").split():
        kvm.virsh("checkpoint-delete", guest, checkpoint)
    kvm.run("rm", "-rf", f"{IMAGES}/{guest}-backups")


def test_what_is_not_known_for_sure_is_full_again_and_said(kvm: Host, still: str, target: str) -> None:
    file = disk(kvm, still)

    def full_because(*words: str) -> None:
        plan = kvm.virtkit("vm", "backup", still, target, "--incremental", "--plan", check=False).stdout
        assert "disk vda is backed up in full: " in plan
        assert all(word in plan for word in words), plan
        write(kvm, file, "0x44", "8M")
        backup(kvm, still, target, "--incremental")
        assert listed(kvm, target)[-1] == "full"
        newest = f"{target}/{len(listed(kvm, target)):04d}/vda.qcow2"
        assert same(kvm, file, newest)

    full_because("it is the first backup there")
    name = kvm.virsh("checkpoint-list", still, "--name")
    kvm.virsh("checkpoint-delete", still, name, "--metadata")
    full_because("checkpoint of backup 1 is gone")
    name = kvm.virsh("checkpoint-list", still, "--name")
    kvm.run("qemu-img", "bitmap", "--remove", file, name)
    full_because(f"{file} has no bitmap {name}")
    kvm.virsh("start", still)
    kvm.run("sh", "-c", f"kill -KILL $(cat /run/libvirt/qemu/{still}.pid)")
    assert eventually(lambda: kvm.virsh("domstate", still) == "shut off")
    full_because("is broken, as after a crash of QEMU")


def test_a_disk_that_is_new_is_in_it_and_the_old_one_stays_incremental(kvm: Host, still: str, target: str) -> None:
    backup(kvm, still, target)
    second = kvm.disk(f"{still}-second.raw", format="raw").path
    kvm.run("qemu-io", "-f", "raw", "-c", "write -P 0x55 0 1M", second)
    kvm.virsh("attach-disk", still, second, "vdb", "--config", "--subdriver", "raw")
    backup(kvm, still, target, "--incremental")
    disks = kvm.json("vm", "backup", "list", target)["backups"][-1]["disks"]
    assert [(each["target"], each["since"]) for each in disks] == [("vda", 1), ("vdb", 0)]
    assert (
        kvm.run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", second, f"{target}/0002/vdb.qcow2").returncode == 0
    )


def test_a_backup_that_rotted_is_found_and_not_restored(kvm: Host, still: str, target: str) -> None:
    write(kvm, disk(kvm, still), "0x11", "0")
    backup(kvm, still, target)
    write(kvm, f"{target}/0001/vda.qcow2", "0x12", "0")
    said = kvm.virtkit("vm", "backup", "verify", target, check=False)
    assert said.returncode == 1
    assert "SHA-256 of its content is" in said.stdout
    assert "SHA-256" in kvm.virtkit("vm", "backup", "restore", target, f"{still}-x", "-y", check=False).stderr


def test_what_a_backup_stands_on_is_verified_with_it(kvm: Host, still: str, target: str) -> None:
    for pattern in ("0x11", "0x22"):
        write(kvm, disk(kvm, still), pattern, "0")
        backup(kvm, still, target, "--incremental")
    write(kvm, f"{target}/0001/vda.qcow2", "0x33", "8M")
    said = kvm.json("vm", "backup", "verify", target, "--number", "2", check=False)
    assert [(each["number"], bool(each["fault"])) for each in said] == [(1, True), (2, False)]
    kvm.run("qemu-img", "rebase", "-u", "-F", "qcow2", "-b", disk(kvm, still), f"{target}/0002/vda.qcow2")
    said = kvm.json("vm", "backup", "verify", target, "--number", "2", check=False)
    assert "expected ../0001/vda.qcow2" in said[1]["fault"]
    note = kvm.folder / f"{target.lstrip('/')}/0002/point.json"
    note.write_text(note.read_text().replace('"since": 1', '"since": 2'))
    said = kvm.json("vm", "backup", "verify", target, "--number", "2", check=False)
    assert [each["fault"].rpartition(": ")[2] for each in said] == [
        "stands on backup 2, which is no earlier one that is there"
    ]


def test_where_qemu_cannot_write_is_refused_before_anything_happens(kvm: Host, still: str) -> None:
    closed = kvm.images / "closed"
    closed.mkdir(mode=0o700)
    try:
        said = kvm.virtkit("vm", "backup", still, f"{IMAGES}/closed/{still}", "--plan", check=False).stderr
        assert f"may not pass {IMAGES}/closed (drwx------ root:root)" in said
        assert f"x {IMAGES}/closed, or another directory" in said
    finally:
        closed.rmdir()


def test_another_machines_directory_is_refused(kvm: Host, still: str, target: str) -> None:
    backup(kvm, still, target)
    other = f"{still}-other"
    kvm.define(machine_xml(hosts.idle(other, kvm.disk(f"{other}.qcow2"))))
    try:
        assert "holds backups of" in kvm.virtkit("vm", "backup", other, target, "--plan", check=False).stderr
    finally:
        kvm.remove(other)


def test_a_chain_stays_right_when_snapshots_come_and_go(kvm: Host, still: str, target: str) -> None:
    def step(pattern: str, *words: str) -> str:
        """What the backup after it is."""
        if words:
            kvm.virtkit("vm", "snapshot", still, *words, "-y")
        write(kvm, disk(kvm, still), pattern, "2M")
        backup(kvm, still, target, "--incremental")
        kinds = listed(kvm, target)
        assert same(kvm, disk(kvm, still), f"{target}/{len(kinds):04d}/vda.qcow2")
        return kinds[-1]

    assert step("0x11") == "full"
    write(kvm, disk(kvm, still), "0x12", "6M")
    assert step("0x13", "create", "first") == "incremental"
    assert step("0x14", "revert", "first") == "full", "its new overlay knows nothing of what changed"
    assert step("0x15") == "incremental"
    assert step("0x16", "create", "inside", "--external") == "incremental"
    step("0x17", "delete", "inside")


@pytest.mark.parametrize("moment", ["virtkit.vm.backups.job:finish", "virtkit.recipes.backups.store:write"])
def test_killed_in_the_middle_the_machine_runs_and_nothing_looks_whole(kvm: Host, guest: str, moment: str) -> None:
    """While QEMU writes, and when all is written but has no name yet."""
    target = f"{IMAGES}/{guest}-backups"
    try:
        backup(kvm, guest, target)
        kvm.shell(guest, "dd if=/dev/urandom of=/dev/vda bs=1M count=8 conv=fsync 2>/dev/null")
        die_at(kvm, moment, "vm", "backup", guest, target, "-y")
        assert kvm.answers(guest)
        assert kvm.json("vm", "backup", "list", target)["unfinished"] == ["0002.part"]
        assert listed(kvm, target) == ["full"]
        kvm.virtkit("undo", "-y")
        assert kvm.json("vm", "backup", "list", target)["unfinished"] == []
        backup(kvm, guest, target, "--incremental")
        assert kvm.run("qemu-img", "compare", "-U", disk(kvm, guest), f"{target}/0002/vda.qcow2").returncode == 0
        assert len(kvm.virsh("checkpoint-list", guest, "--name").split()) == 1
    finally:
        clean_guest(kvm, guest)


def test_a_machine_that_is_off_is_off_after_a_kill_and_the_next_backup_clears_up(
    kvm: Host, still: str, target: str
) -> None:
    die_at(kvm, "virtkit.vm.backups.job:finish", "vm", "backup", still, target, "-y")
    assert eventually(lambda: kvm.virsh("domstate", still) == "shut off")
    assert listed(kvm, target) == []
    backup(kvm, still, target)
    assert kvm.json("vm", "backup", "list", target)["unfinished"] == []
    assert same(kvm, disk(kvm, still), f"{target}/0001/vda.qcow2")
