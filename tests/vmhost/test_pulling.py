"""Backups that we read ourselves through QEMU's socket: held against QEMU's own, and against the disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.vm.blueprint import Disk, machine_xml
from vmhost import hosts
from vmhost.dying import die_at
from vmhost.hosts import IMAGES
from vmhost.test_backups import backup, clean, disk, listed, restored, same, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

MIB = 1 << 20


@pytest.fixture
def still(kvm: Host, name: str) -> Iterator[str]:
    """A machine that is off, with a disk in small clusters and a raw one."""
    kvm.run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", f"{IMAGES}/{name}.qcow2", "16M")
    first = Disk(f"{IMAGES}/{name}.qcow2", "qcow2", "none", "native")
    kvm.define(machine_xml(hosts.idle(name, first, kvm.disk(f"{name}.raw", "3M", "raw"))))
    yield name
    clean(kvm, name)


@pytest.fixture
def target(kvm: Host, name: str) -> Iterator[str]:
    """Where QEMU may not write."""
    closed = kvm.images / f"{name}-closed"
    closed.mkdir(mode=0o700)
    yield f"{IMAGES}/{name}-closed/backups"
    kvm.run("rm", "-rf", f"{IMAGES}/{name}-closed")


def left(folder: Path, name: str) -> list[str]:
    return sorted(path.name for path in folder.glob(f"{name}*") if "scratch" in path.name)


def test_a_chain_is_restored_byte_by_byte_from_where_qemu_may_not_write(kvm: Host, still: str, target: str) -> None:
    file, kept = disk(kvm, still), []
    kvm.run("qemu-io", "-f", "raw", "-c", "write -P 0x77 1000k 100k", f"{IMAGES}/{still}.raw")
    write(kvm, file, "0x66", "12M")
    for number, (pattern, at) in enumerate((("0x11", "4k"), ("0x22", "2020k"), ("0x33", "512k")), 1):
        write(kvm, file, pattern, at)
        kvm.run("qemu-io", "-c", f"write -z {11 + number}M 300k", file)
        kept.append(f"{IMAGES}/{still}-then{number}.qcow2")
        kvm.run("cp", file, kept[-1])
        backup(kvm, still, target, "--incremental", "--pull" if number == 2 else "--compress")
    assert listed(kvm, target) == ["full", "full+incremental", "full+incremental"], "a raw disk has no bitmaps"
    assert not left(kvm.images, still)
    kvm.run("qemu-img", "check", f"{target}/0003/vda.qcow2")
    for number, then in enumerate(kept, 1):
        try:
            new = restored(kvm, target, f"{still}-new{number}", number)
            assert same(kvm, new, then)
            kvm.run("qemu-img", "compare", "-F", "raw", new.replace("vda", "vdb"), f"{IMAGES}/{still}.raw")
        finally:
            kvm.remove(f"{still}-new{number}")
    takes = [each["takes"] for each in kvm.json("vm", "backup", "list", target)["backups"]]
    assert takes[1] < 3 * MIB
    assert "✓ backup 3" in kvm.virtkit("vm", "backup", "verify", target).stdout


def test_a_running_guest_is_read_and_runs_on_when_the_reader_is_killed(kvm: Host, guest: str) -> None:
    """Pushed and pulled alike; then killed while it reads."""
    pushed, pulled = f"{IMAGES}/{guest}-pushed", f"{IMAGES}/{guest}-pulled"
    try:
        kvm.shell(guest, "dd if=/dev/urandom of=/dev/vda bs=1M count=6 conv=fsync 2>/dev/null")
        backup(kvm, guest, pushed)
        backup(kvm, guest, pulled, "--compress")
        assert kvm.run("qemu-img", "compare", f"{pushed}/0001/vda.qcow2", f"{pulled}/0001/vda.qcow2").returncode == 0
        die_at(kvm, "virtkit.recipes.backups.pulling:pull", "vm", "backup", guest, pulled, "--pull", "-y")
        assert kvm.answers(guest)
        kvm.shell(guest, "dd if=/dev/urandom of=/dev/vda bs=1M count=2 conv=fsync 2>/dev/null")
        kvm.virtkit("undo", "-y")
        assert not left(kvm.images, guest)
        backup(kvm, guest, pulled, "--incremental", "--pull")
        assert listed(kvm, pulled) == ["full", "incremental"]
        assert kvm.run("qemu-img", "compare", "-U", disk(kvm, guest), f"{pulled}/0002/vda.qcow2").returncode == 0
    finally:
        for checkpoint in kvm.virsh("checkpoint-list", guest, "--name").split():
            kvm.virsh("checkpoint-delete", guest, checkpoint)
        kvm.run("rm", "-rf", pushed, pulled)
