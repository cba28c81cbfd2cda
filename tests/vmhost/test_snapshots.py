"""Snapshots of real machines: taken, gone back to, deleted; what the disks hold is read by QEMU's own programs."""

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

MARK = "echo {0} >/run/mark; printf {0} | dd of=/dev/vda bs=512 conv=sync,fsync 2>/dev/null"
READ = "cat /run/mark; echo 3 >/proc/sys/vm/drop_caches; head -c 3 /dev/vda"


@pytest.fixture
def still(kvm: Host, name: str) -> Iterator[str]:
    """A machine that is off, with one disk."""
    kvm.define(machine_xml(hosts.idle(name, kvm.disk(f"{name}.qcow2"))))
    yield name
    for file in kvm.images.glob(f"{name}*"):
        file.unlink()


def snapshot(host: Host, name: str, *words: str) -> None:
    host.virtkit("vm", "snapshot", name, *words, "-y")


def refused(host: Host, name: str, *words: str) -> str:
    """Why, before anything is touched."""
    said = host.virtkit("vm", "snapshot", name, *words, "--plan", check=False)
    assert said.returncode in (1, 2), said
    return said.stderr


def image(host: Host, name: str) -> str:
    """What the machine's first disk is now."""
    return Domain.parse(host.virsh("dumpxml", name)).disks[0].source


def fill(host: Host, name: str, pattern: str) -> None:
    host.run("qemu-io", "-c", f"write -P {pattern} 0 1M", image(host, name))


def holds(host: Host, file: str, pattern: str) -> bool:
    done = host.run("qemu-io", "-r", "-c", f"read -P {pattern} 0 1M", file, check=False)
    return "verification failed" not in done.stdout and done.returncode == 0


def names(host: Host, name: str) -> list[str]:
    """By libvirt's own program."""
    return host.virsh("snapshot-list", name, "--name").split()


def test_back_to_an_external_snapshot_and_undo_leads_forward_again(kvm: Host, still: str) -> None:
    fill(kvm, still, "0x11")
    snapshot(kvm, still, "create", "first", "--description", "before the upgrade")
    fill(kvm, still, "0x22")
    left = image(kvm, still)
    assert left == f"{IMAGES}/{still}-vda.first.qcow2"
    snapshot(kvm, still, "revert", "first")
    assert image(kvm, still) == f"{IMAGES}/{still}-vda.first-2.qcow2"
    assert holds(kvm, image(kvm, still), "0x11")
    snapshot(kvm, still, "create", "branch")
    assert kvm.virsh("snapshot-parent", still, "branch") == "first"
    assert "would be ruined" in refused(kvm, still, "delete", "first")
    kvm.virtkit("undo", "-y")
    kvm.virtkit("undo", "-y")
    assert image(kvm, still) == left
    assert holds(kvm, left, "0x22")
    assert names(kvm, still) == ["first"]


def test_an_external_snapshot_is_merged_when_it_is_deleted(kvm: Host, still: str) -> None:
    fill(kvm, still, "0x11")
    base = image(kvm, still)
    snapshot(kvm, still, "create", "first")
    fill(kvm, still, "0x22")
    found = kvm.json("vm", "snapshot", still, "list")
    assert [(each["name"], each["kind"], each["current"]) for each in found] == [("first", "external", True)]
    assert 1 << 20 <= found[0]["size"] < 3 << 20
    heir = f"{IMAGES}/{still}-heir.qcow2"
    kvm.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", heir)
    assert f"{heir} stands on {base}, too, and would be ruined by the merge" in refused(kvm, still, "delete", "first")
    kvm.run("rm", heir)
    assert "nothing takes it back" in kvm.virtkit("vm", "snapshot", still, "delete", "first", "-y").stdout
    assert image(kvm, still) == base
    assert holds(kvm, base, "0x22")
    assert names(kvm, still) == []
    assert [file.name for file in kvm.images.glob(f"{still}*")] == [f"{still}.qcow2"]


def test_the_oldest_goes_first_and_the_others_stay_good(kvm: Host, still: str) -> None:
    """A raw disk beside the qcow2 one: its overlay is qcow2, too."""
    raw = kvm.disk(f"{still}-raw.raw", format="raw").path
    kvm.virsh("attach-disk", still, raw, "vdb", "--config", "--subdriver", "raw")
    for number, snap in enumerate(("one", "two", "three"), 1):
        fill(kvm, still, f"0x{number}1")
        snapshot(kvm, still, "create", snap)
    fill(kvm, still, "0x99")
    snapshot(kvm, still, "delete", "one")
    assert sorted(names(kvm, still)) == ["three", "two"]
    snapshot(kvm, still, "revert", "two")
    assert holds(kvm, image(kvm, still), "0x21")
    kvm.virtkit("undo", "-y")
    kvm.run("sh", "-c", f"rm {IMAGES}/{still}-vd?.two-2.qcow2")
    for snap in ("two", "three"):
        snapshot(kvm, still, "delete", snap)
    assert image(kvm, still) == f"{IMAGES}/{still}.qcow2"
    assert holds(kvm, image(kvm, still), "0x99")
    kvm.run("qemu-img", "check", "-q", image(kvm, still))
    assert Domain.parse(kvm.virsh("dumpxml", still)).disks[1].source == raw
    assert not list(kvm.images.glob(f"{still}-vd*"))


def test_an_overlay_that_stands_elsewhere_is_not_merged(kvm: Host, still: str) -> None:
    other = kvm.disk(f"{still}-other.qcow2").path
    snapshot(kvm, still, "create", "first")
    kvm.run("qemu-img", "rebase", "-u", "-b", other, "-F", "qcow2", image(kvm, still))
    assert f"stands on {other}, expected {IMAGES}/{still}.qcow2" in refused(kvm, still, "delete", "first")


def test_a_snapshot_off_the_chain_is_forgotten_and_its_files_stay(kvm: Host, still: str) -> None:
    snapshot(kvm, still, "create", "first")
    snapshot(kvm, still, "create", "second")
    snapshot(kvm, still, "revert", "first")
    snapshot(kvm, still, "delete", "second")
    assert names(kvm, still) == ["first"]
    assert (kvm.images / f"{still}-vda.second.qcow2").exists()


def test_kinds_do_not_mix(kvm: Host, still: str) -> None:
    snapshot(kvm, still, "create", "inside", "--internal")
    assert "#811" in refused(kvm, still, "create", "outside", "--external")
    kvm.virsh("snapshot-create-as", still, "outside", "--disk-only")
    for words in (("delete", "outside"), ("revert", "inside")):
        assert "mixes internal snapshots (inside) with external ones (outside)" in refused(kvm, still, *words)


def test_what_cannot_be_kept_is_refused_before_anything_happens(kvm: Host, still: str) -> None:
    assert "expected running for a snapshot of its memory" in refused(kvm, still, "create", "--memory")
    assert "expected 1 to 64 letters" in refused(kvm, still, "create", "a/b")
    assert "snapshot is nope, expected one of none" in refused(kvm, still, "revert", "nope")
    kvm.disk(f"{still}.raw", format="raw")
    xml = kvm.virsh("dumpxml", still)
    kvm.define(xml.replace(f"{still}.qcow2", f"{still}.raw").replace("type='qcow2'", "type='raw'"))
    assert "disk vda is raw, expected qcow2 for internal snapshots" in refused(kvm, still, "create", "--internal")
    (kvm.images / f"{still}-vda.taken.qcow2").touch()
    assert "exists already, expected none" in refused(kvm, still, "create", "taken")


def test_a_running_guest_goes_back_to_its_memory_in_a_new_overlay(kvm: Host, guest: str) -> None:
    base = image(kvm, guest)
    kvm.shell(guest, MARK.format("one"))
    snapshot(kvm, guest, "create", "live", "--memory")
    kvm.shell(guest, MARK.format("two"))
    snapshot(kvm, guest, "revert", "live")
    kvm.wait(guest)
    assert kvm.shell(guest, READ) == "one\none"
    left = f"{IMAGES}/{guest}-vda.live.qcow2"
    assert f"{left} stands on {base}, too" in refused(kvm, guest, "delete", "live")
    kvm.run("rm", left)
    snapshot(kvm, guest, "delete", "live")
    assert (image(kvm, guest), names(kvm, guest)) == (base, [])
    assert kvm.shell(guest, READ) == "one\none"
    assert not list(kvm.images.glob(f"{guest}*.live*"))


def test_a_running_guest_goes_back_within_its_image_and_forward_again(kvm: Host, guest: str) -> None:
    kvm.shell(guest, MARK.format("one"))
    snapshot(kvm, guest, "create", "inside", "--internal")
    kvm.shell(guest, MARK.format("two"))
    assert kvm.json("vm", "snapshot", guest, "list")[0]["memory"]
    snapshot(kvm, guest, "revert", "inside")
    assert eventually(lambda: kvm.answers(guest))
    assert kvm.shell(guest, READ) == "one\none"
    kvm.virtkit("undo", "-y")
    assert eventually(lambda: kvm.answers(guest))
    assert kvm.shell(guest, READ) == "two\ntwo"
    snapshot(kvm, guest, "delete", "inside")
    assert names(kvm, guest) == []


def test_file_systems_are_frozen_by_the_agent_and_thawed(kvm: Host, guest: str) -> None:
    base = image(kvm, guest)
    told = kvm.virtkit("vm", "snapshot", guest, "create", "calm", "--plan", check=False).stdout
    assert "the guest's file systems frozen for that moment" in told
    snapshot(kvm, guest, "create", "calm", "--freeze")
    assert '"thawed"' in kvm.virsh("qemu-agent-command", guest, '{"execute": "guest-fsfreeze-status"}')
    kvm.shell(guest, MARK.format("new"))
    snapshot(kvm, guest, "delete", "calm")
    assert image(kvm, guest) == base
    assert kvm.shell(guest, READ) == "new\nnew"


def test_back_to_the_disks_alone_starts_the_guest_anew_and_undo_as_well(kvm: Host, guest: str) -> None:
    base = image(kvm, guest)
    kvm.shell(guest, MARK.format("one"))
    snapshot(kvm, guest, "create", "disks")
    kvm.shell(guest, MARK.format("two"))
    snapshot(kvm, guest, "revert", "disks")
    kvm.wait(guest)
    assert kvm.shell(guest, "head -c 3 /dev/vda; cat /run/mark || true") == "one"
    kvm.virtkit("undo", "-y")
    kvm.wait(guest)
    assert kvm.shell(guest, "head -c 3 /dev/vda") == "two"
    kvm.run("rm", f"{IMAGES}/{guest}-vda.disks-2.qcow2")
    snapshot(kvm, guest, "delete", "disks")
    assert image(kvm, guest) == base


@pytest.mark.parametrize("moment", ["virtkit.vm.watched:Teller.look", "virtkit.vm.actions:TakeSnapshot.verify"])
def test_killed_in_the_middle_the_guest_runs_and_undo_leaves_nothing(kvm: Host, guest: str, moment: str) -> None:
    """While libvirt writes, and when it is done but nobody has noted it down."""
    base = image(kvm, guest)
    die_at(kvm, moment, "vm", "snapshot", guest, "create", "cut", "--memory", "-y")
    kvm.virtkit("undo", "-y")
    assert kvm.answers(guest)
    assert (image(kvm, guest), names(kvm, guest)) == (base, [])
    assert not list(kvm.images.glob(f"{guest}*.cut*"))
