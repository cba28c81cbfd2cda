"""Machines become two: disks copied, shared, stood upon."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from virtkit.vm.blueprint import Disk, Nic, machine_xml
from virtkit.vm.domain import Domain
from vmhost import hosts
from vmhost.hosts import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

XFS = """\
truncate -s 400M "$0.store"
mkfs.xfs -q "$0.store"
mkdir "$0"
mount -o loop "$0.store" "$0"
"""


@pytest.fixture
def pair(kvm: Host, name: str) -> Iterator[str]:
    """A machine that is off: a qcow2 with bytes in it, a raw one, and something that both may read."""
    disks = [kvm.disk(f"{name}.qcow2"), kvm.disk(f"{name}-data.raw", "1M", "raw"), kvm.disk("shared.iso", "1M", "raw")]
    kvm.run("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 64k", disks[0].path)
    seed = Disk(disks[2].path, "raw", read_only=True)
    plan = hosts.idle(name, *disks[:2], seed)
    kvm.virsh("net-start", "default", check=False)
    kvm.define(machine_xml(replace(plan, nics=(Nic(network="default"),))))
    try:
        yield name
    finally:
        kvm.virsh("net-destroy", "default", check=False)
        for each in kvm.machines():
            if each.startswith(name):
                kvm.remove(each)
        for path in kvm.images.iterdir():
            if path.name.startswith((name, "shared")):
                path.unlink()


def defined(kvm: Host, name: str) -> Domain:
    return Domain.parse(kvm.virsh("dumpxml", "--inactive", name))


def same(kvm: Host, one: str, other: str) -> bool:
    return kvm.run("qemu-img", "compare", "-U", one, other, check=False).returncode == 0


def test_a_copy_is_a_machine_of_its_own_and_undo_forgets_it(kvm: Host, pair: str) -> None:
    new = f"{pair}b"
    done = kvm.json("vm", "clone", pair, new, "-y")
    old, made = defined(kvm, pair), defined(kvm, new)
    assert made.uuid != old.uuid
    assert made.nics[0].mac != old.nics[0].mac
    sources = [disk.source for disk in made.disks]
    assert sources == [f"{IMAGES}/{new}.qcow2", f"{IMAGES}/{new}-data.raw", f"{IMAGES}/shared.iso"]
    assert all(same(kvm, *both) for both in zip((disk.source for disk in old.disks), sources, strict=True))
    assert "hostnamectl set-hostname" in done["notes"][-1]
    kvm.virtkit("undo", str(done["change"]), "-y")
    assert new not in kvm.machines()


def test_a_template_is_cloned_in_no_time_and_never_started(kvm: Host, pair: str) -> None:
    new = f"{pair}c"
    assert "is no template" in kvm.virtkit("vm", "clone", pair, new, "--by", "overlay", check=False).stderr
    kvm.virtkit("vm", "template", pair)
    assert kvm.virtkit("vm", "template", pair, "--plan", check=False).returncode == 0
    assert "is a template" in kvm.virtkit("vm", "start", pair, check=False).stderr
    kvm.virtkit("vm", "clone", pair, new, "--by", "overlay", "-y", "--start")
    assert kvm.virsh("domstate", new) == "running"
    disks = defined(kvm, new).disks
    assert [disk.read_only for disk in disks] == [False, False, True]
    said = json.loads(kvm.run("qemu-img", "info", "-U", "--output=json", disks[0].source).stdout)
    assert said["full-backing-filename"] == f"{IMAGES}/{pair}.qcow2"
    kvm.virsh("start", pair)  # whoever does it all the same
    (first, *_) = json.loads(kvm.virsh("qemu-monitor-command", pair, '{"execute": "query-block"}'))["return"]
    assert first["inserted"]["ro"]
    kvm.virsh("destroy", pair)
    refused = kvm.virtkit("vm", "template", pair, "--off", check=False).stderr
    assert f"machine {new} stands on its disks" in refused
    kvm.remove(new)
    kvm.virtkit("vm", "template", pair, "--off")
    assert [disk.read_only for disk in defined(kvm, pair).disks] == [False, False, True]


def test_a_clone_with_a_login_has_a_seed_of_its_own(kvm: Host, pair: str) -> None:
    new = f"{pair}d"
    (kvm.images / f"{pair}.pub").write_text("ssh-ed25519 AAAAC3Nz a\n")
    kvm.virtkit("vm", "clone", pair, new, "-y", "--ssh-key", f"{IMAGES}/{pair}.pub", "--user", "admin")
    made = defined(kvm, new)
    assert (made.disks[-1].source, made.disks[-1].read_only) == (f"{IMAGES}/{new}-seed.iso", True)
    assert made.uuid.encode() in (kvm.images / f"{new}-seed.iso").read_bytes()


def test_what_runs_or_is_taken_is_refused(kvm: Host, pair: str) -> None:
    new = f"{pair}e"
    assert "exists already" in kvm.virtkit("vm", "clone", pair, pair, check=False).stderr
    (kvm.images / f"{new}.qcow2").write_text("mine")
    assert "is not overwritten" in kvm.virtkit("vm", "clone", pair, new, check=False).stderr
    assert "name is 'a/b'" in kvm.virtkit("vm", "clone", pair, "a/b", check=False).stderr
    kvm.virsh("start", pair)
    for verb in (("clone", pair, f"{pair}f"), ("template", pair)):
        assert f"virtkit vm stop {pair}" in kvm.virtkit("vm", *verb, check=False).stderr
    assert new not in kvm.machines()


def test_the_boot_entries_of_uefi_go_along(kvm: Host, pair: str) -> None:
    """Libvirt 9 keeps the variables of a firmware that it chose where its XML does not say."""
    folder, xml = kvm.folder / "var/lib/libvirt/qemu/nvram", kvm.virsh("dumpxml", "--inactive", pair)
    folder.mkdir(exist_ok=True)
    (folder / f"{pair}_VARS.fd").write_bytes(b"entries".ljust(4096, b"\0"))
    kvm.define(xml.replace("<os>", "<os firmware='efi'>"))
    new = f"{pair}i"
    kvm.virtkit("vm", "clone", pair, new, "-y")
    made = folder / f"{new}_VARS.fd"
    assert made.read_bytes() == (folder / f"{pair}_VARS.fd").read_bytes()
    assert made.stat().st_mode & 0o777 == 0o600
    kvm.virsh("undefine", new, "--keep-nvram")
    (folder / f"{pair}_VARS.fd").unlink()
    done = kvm.json("vm", "clone", pair, new, "--directory", "/mnt", "-y")
    assert not made.exists()
    kvm.virtkit("undo", str(done["change"]), "-y", "--disks")
    assert made.exists()


def test_where_the_file_system_shares_blocks_a_reflink_takes_no_room(kvm: Host, pair: str) -> None:
    if shutil.which("mkfs.xfs") is None:
        pytest.skip("needs mkfs.xfs")
    here, shared = f"{IMAGES}/{pair}-xfs", f"{pair}g"
    assert "shares no blocks" in kvm.virtkit("vm", "clone", pair, shared, "--by", "reflink", check=False).stderr
    kvm.run("sh", "-ec", XFS, here)
    try:
        kvm.run("cp", f"{IMAGES}/{pair}.qcow2", f"{here}/base.qcow2")
        image = ("--image", f"{here}/base.qcow2", "--by", "reflink", "--disk", f"{here}/{shared}.qcow2")
        kvm.virtkit("vm", "create", shared, *image, "--accelerator", "tcg", "--no-network", "-y")
        kvm.virtkit("vm", "clone", shared, f"{shared}h", "--by", "reflink", "-y")
        for each in (shared, f"{shared}h"):
            (disk,) = defined(kvm, each).disks
            assert disk.source == f"{here}/{each}.qcow2"
            assert "shared" in kvm.run("filefrag", "-v", disk.source).stdout
            assert same(kvm, disk.source, f"{here}/base.qcow2")
    finally:
        kvm.run("umount", here)
        kvm.run("rmdir", here)
