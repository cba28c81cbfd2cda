"""Machines go with their files, and what others need stays: on a real libvirt, killed at any step, too."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from virtkit.core.units import format_size
from virtkit.recipes.seed import nocloud
from virtkit.vm.blueprint import Disk, machine_xml
from vmhost import hosts
from vmhost.dying import die_at
from vmhost.hosts import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

SIZES = (2 << 20, 3 << 20)  # bytes that the two disks hold
LATE = """
import os, runpy, sys
from virtkit.recipes.files import SetAside
real, machine = SetAside.apply, sys.argv.pop(1)
def late(*arguments):
    os.system(f"virsh -q start {machine} 2>/dev/null")
    real(*arguments)
SetAside.apply = late
runpy.run_module("virtkit", run_name="__main__", alter_sys=True)
"""  # somebody starts it after the plan was agreed to


@pytest.fixture
def machine(kvm: Host, name: str) -> Iterator[str]:
    """Off, with two disks, a seed, UEFI variables, an ISO that is not its own, a log."""
    disks = [kvm.disk(f"{name}.qcow2"), kvm.disk(f"{name}-data.raw", "4M", "raw")]
    kvm.run("qemu-io", "-f", "qcow2", "-c", f"write -P 7 0 {SIZES[0]}", disks[0].path)
    kvm.run("qemu-io", "-f", "raw", "-c", f"write -P 7 0 {SIZES[1]}", disks[1].path)
    iso = Disk(kvm.disk("shared.iso", "1M", "raw").path, "raw", bus="sata", cdrom=True)
    (kvm.images / f"{name}-seed.iso").write_bytes(nocloud.image(nocloud.Seed("web", "i-1", keys=("ssh-rsa AAAA",))))
    define(kvm, name, *disks, Disk(f"{IMAGES}/{name}-seed.iso", "raw", read_only=True), iso)
    (kvm.folder / "var/log/libvirt/qemu" / f"{name}.log").write_text("said\n")
    try:
        yield name
    finally:
        for each in kvm.machines():
            if each.startswith(name):
                kvm.remove(each)
        for path in kvm.images.iterdir():
            if path.name != "guest.qcow2":
                path.unlink()


def define(kvm: Host, name: str, *disks: Disk) -> None:
    variables = f"/var/lib/libvirt/qemu/nvram/{name}_VARS.fd"
    kvm.run("sh", "-c", f"mkdir -p {variables.rpartition('/')[0]}; head -c 4096 /dev/zero >{variables}")
    xml = machine_xml(replace(hosts.idle(name, *disks), uuid=""))
    loader = f"<loader readonly='yes' type='pflash'>{IMAGES}/shared.iso</loader><nvram>{variables}</nvram>"
    kvm.define(xml.replace("</type>", f"</type>{loader}", 1))


def files(kvm: Host, name: str) -> set[str]:
    """Whatever has the machine's name in its own, where libvirt and virtkit keep such things."""
    places = (kvm.folder / "var/lib/libvirt", kvm.folder / "etc/libvirt/qemu")
    return {path.name for place in places for path in place.rglob("*") if name in path.name and not path.is_dir()}


def plan(kvm: Host, name: str, *words: str) -> str:
    done = kvm.virtkit("vm", "rm", name, *words, "--plan", check=False)
    assert done.returncode == 3, done
    return done.stdout


def taken(path: Path) -> str:
    """As du counts."""
    return format_size(
        int(subprocess.run(["du", "-B1", path], capture_output=True, check=True, text=True).stdout.split()[0])
    )


def test_every_file_is_named_with_its_size_and_goes(kvm: Host, machine: str) -> None:
    before = files(kvm, machine)
    said = plan(kvm, machine)
    for file, what in ((f"{machine}.qcow2", "disk vda"), (f"{machine}-data.raw", "disk vdb")):
        assert f"- {IMAGES}/{file}: {what}, {taken(kvm.images / file)}\n" in said
    assert f"{machine}_VARS.fd: UEFI variables, 4 KiB" in said
    assert f"{machine}-seed.iso: cloud-init seed, " in said
    assert f"shared.iso ({taken(kvm.images / 'shared.iso')}): disk sda only reads it" in said
    assert f"{machine}.log (4 KiB): a log" in said
    assert files(kvm, machine) == before
    done = kvm.virtkit("vm", "rm", machine, "-y")
    assert "nothing takes it back" in done.stdout
    assert machine not in kvm.machines()
    assert files(kvm, machine) == set()
    assert (kvm.images / "shared.iso").exists()
    for words in ((), ("--plan",), ("-y",)):
        undone = kvm.virtkit("undo", *words, check=False)
        assert f"(remove machine {machine}): nothing brings back what it took away" in undone.stderr
    undone = kvm.virtkit("undo", "-y", "--force", check=False)
    assert "2 of the 2 files that it would start from are deleted for good" in undone.stderr
    assert machine not in kvm.machines()


def test_what_runs_or_cannot_be_renamed_stays_whole(kvm: Host, machine: str) -> None:
    before = files(kvm, machine)
    kvm.run("chattr", "+i", f"{IMAGES}/{machine}-data.raw")
    try:
        failed = kvm.virtkit("vm", "rm", machine, "-y", check=False)
    finally:
        kvm.run("chattr", "-i", f"{IMAGES}/{machine}-data.raw")
    assert (failed.returncode, "lsattr" in failed.stderr) == (4, True)
    late = kvm.run(sys.executable, "-c", LATE, machine, "vm", "rm", machine, "-y", check=False)
    assert (late.returncode, f"is in use by machine {machine}" in late.stderr) == (4, True)
    assert files(kvm, machine) == before
    assert f"virtkit vm stop {machine}, or --force" in kvm.virtkit("vm", "rm", machine, check=False).stderr
    assert plan(kvm, machine, "--force").splitlines()[1] == f"  ~ machine {machine}: force off"
    kvm.virtkit("vm", "rm", machine, "--force", "-y")
    assert machine not in kvm.machines()
    assert files(kvm, machine) == set()


def test_killed_at_any_step_it_is_undone_or_finished(kvm: Host, machine: str) -> None:
    before = files(kvm, machine)
    die_at(kvm, "virtkit.recipes.files:DeleteFiles.apply", "vm", "rm", machine, "-y")
    assert all(name.startswith(".") for name in files(kvm, machine) - {f"{machine}.xml"})
    kvm.virtkit("undo", "-y")
    assert files(kvm, machine) == before
    for moment in ("virtkit.recipes.files:sync_directory", "virtkit.vm.machine:Machine.forget"):
        die_at(kvm, moment, "vm", "rm", machine, "-y")
        assert machine in kvm.machines()
    assert f"virtkit vm rm {machine} finishes" in kvm.virtkit("undo", "-y", check=False).stderr
    kvm.virtkit("vm", "rm", machine, "-y")
    assert machine not in kvm.machines()
    assert files(kvm, machine) == set()


def test_clones_keep_what_they_stand_on_to_the_last(kvm: Host, machine: str) -> None:
    one, two, base = f"{machine}a", f"{machine}b", f"{machine}.qcow2"
    kvm.virtkit("vm", "template", machine)
    for each in (one, two):
        kvm.virtkit("vm", "clone", machine, each, "--by", "overlay", "-y")
    said = plan(kvm, machine)
    assert f"{base} ({taken(kvm.images / base)}): machine {one} needs it (disk vda)" in said
    kvm.virtkit("vm", "rm", machine, "-y")
    assert {base, f"{machine}-data.raw"} <= files(kvm, machine)
    kvm.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", f"{IMAGES}/{one}.qcow2", "-F", "qcow2", "/mnt/far.qcow2")
    kvm.virsh("pool-create-as", "far", "dir", "--target", "/mnt")
    assert "/mnt/far.qcow2 stands on it (disk vda)" in plan(kvm, one)
    kvm.virsh("pool-destroy", "far")
    kvm.run("rm", "/mnt/far.qcow2")
    kvm.virtkit("vm", "rm", one, "-y")
    assert kvm.run("qemu-img", "check", f"{IMAGES}/{two}.qcow2").returncode == 0
    assert f"{IMAGES}/{two}.qcow2 stands on it, and no snapshot of {two} made it" in plan(kvm, two)
    kvm.remove(two)
    define(kvm, two, Disk(f"{IMAGES}/{base}", "qcow2"))
    assert f"{IMAGES}/{two}.qcow2 stands on it (disk vda)" in plan(kvm, two)


def test_snapshots_go_with_their_overlays_and_the_trash_gives_all_of_it_back(kvm: Host, machine: str) -> None:
    for words in (("create", "one"), ("create", "two"), ("revert", "one")):
        kvm.virtkit("vm", "snapshot", machine, *words, "-y")
    before, notes = files(kvm, machine), kvm.virsh("snapshot-list", machine, "--tree")
    xml = kvm.virsh("dumpxml", machine)
    kvm.virsh("start", machine)
    kvm.virsh("managedsave", machine)
    before = files(kvm, machine)
    said = plan(kvm, machine, "--trash")
    assert f"save/{machine}.save: saved memory, " in said
    assert "undefine, with libvirt's notes of snapshot one, snapshot two" in said
    assert f"{machine}-vda.one-2.qcow2: disk vda" in said
    assert f"{machine}-vda.two.qcow2: left when the machine went back" in said or "of snapshot two" in said
    kvm.virtkit("vm", "rm", machine, "--trash", "-y")
    assert machine not in kvm.machines()
    assert all(name.startswith(".") for name in files(kvm, machine))
    kvm.virtkit("undo", "-y")
    assert files(kvm, machine) == before
    assert kvm.virsh("snapshot-list", machine, "--tree") == notes
    assert kvm.virsh("dumpxml", machine) == xml
    kvm.virsh("start", machine)
    assert not (kvm.folder / f"var/lib/libvirt/qemu/save/{machine}.save").exists()  # it went on where it was
    kvm.virtkit("vm", "rm", machine, "--force", "-y")
    assert files(kvm, machine) == set()


def test_backups_stay_and_bitmaps_and_inner_snapshots_are_named(kvm: Host, machine: str) -> None:
    kvm.virsh("detach-disk", machine, "vdb", "--config")
    kvm.virtkit("vm", "backup", machine, f"{IMAGES}/backup", "-y")
    kvm.run("qemu-img", "snapshot", "-c", "inner", f"{IMAGES}/{machine}.qcow2")
    said = plan(kvm, machine)
    assert "with snapshots inner and bitmaps virtkit-" in said
    assert f"stays: {IMAGES}/backup: backups of {machine}" in said
    assert "undefine, with libvirt's notes of checkpoint virtkit-" in said
    kvm.virtkit("vm", "rm", machine, "--keep-disks", "-y")
    assert f"{machine}.qcow2" in files(kvm, machine)
    assert not any(name.endswith("VARS.fd") for name in files(kvm, machine))
    assert all(each["fault"] == "" for each in kvm.json("vm", "backup", "verify", f"{IMAGES}/backup"))
    kvm.run("rm", "-r", f"{IMAGES}/backup")
