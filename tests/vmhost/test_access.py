"""QEMU runs as a user of its own: what that user may not reach is said, before and after, with what mends it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from vmhost.hosts import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

CLOSED = f"{IMAGES}/closed"
WHY = f"may not pass {CLOSED} (drwx------ root:root) on the way to {CLOSED}/a.qcow2"
TCG = ("--by", "in-place", "--accelerator", "tcg", "--no-network", "-y")


@pytest.fixture
def closed(kvm: Host) -> Iterator[str]:
    """An image that only root gets at."""
    there = kvm.images / "closed"
    there.mkdir(mode=0o700)
    kvm.disk(f"{CLOSED}/a.qcow2")
    try:
        yield f"{CLOSED}/a.qcow2"
    finally:
        shutil.rmtree(there)


def test_a_start_that_would_fail_is_refused_with_the_plan_and_what_is_typed_mends_it(
    kvm: Host, name: str, closed: str
) -> None:
    refused = kvm.virtkit("vm", "create", name, "--image", closed, *TCG, "--start", check=False)
    assert (refused.returncode, WHY in refused.stderr) == (1, True)
    assert name not in kvm.machines()
    file = f"machines: {{{name}: {{image: {{source: {closed}, path: {CLOSED}/b.qcow2}}, cpus: 1, memory: 64M}}}}"
    (kvm.images / "closed/up.yaml").write_text(f"version: 1\n{file}\n")
    planned = kvm.virtkit("plan", f"{CLOSED}/up.yaml", check=False)
    assert (planned.returncode, WHY.replace("a.qcow2", "b.qcow2") in planned.stderr) == (2, True)
    kvm.virtkit("vm", "create", name, "--image", closed, *TCG)
    assert WHY in kvm.virtkit("vm", "start", name, "--plan", check=False).stdout
    failed = kvm.json("vm", "start", name, check=False)
    assert WHY in failed["error"]
    assert kvm.virsh("domstate", name) == "shut off"
    kvm.run("sh", "-c", failed["hint"])
    kvm.virtkit("vm", "start", name)
    labels = {label["driver"]: label["label"] for label in kvm.json("vm", "show", name)["labels"]}
    uid = kvm.run("id", "-u", "libvirt-qemu").stdout.strip()
    assert labels["dac"].startswith(f"+{uid}:")
    assert "dac: libvirt-qemu:" in kvm.virtkit("vm", "show", name).stdout


def test_a_disk_that_is_plugged_in_and_one_that_stands_on_a_closed_image_are_explained(
    kvm: Host, idle: str, closed: str
) -> None:
    kvm.virsh("start", idle)
    failed = kvm.json("vm", "hotplug", idle, "disk", closed, "-y", check=False)
    assert WHY in failed["error"]
    made = f"{IMAGES}/over.qcow2"
    kvm.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", closed, "-F", "qcow2", made)
    failed = kvm.json("vm", "hotplug", idle, "disk", made, "-y", check=False)
    (kvm.images / "over.qcow2").unlink()
    assert WHY in failed["error"]
    ordered = ("--image", closed, "--by", "overlay", "--accelerator", "tcg", "--no-network", "--start", "-y")
    assert WHY in kvm.virtkit("vm", "create", "another", *ordered, check=False).stderr


def test_an_image_that_libvirt_was_told_to_leave_alone_is_explained_too(kvm: Host, idle: str) -> None:
    kept = kvm.disk("kept.qcow2").path
    kvm.run("chmod", "600", kept)
    own = "<seclabel type='static' model='dac' relabel='no'><label>libvirt-qemu:kvm</label></seclabel>"
    disk = f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{kept}'/><target dev='vda'/></disk>"
    xml = kvm.virsh("dumpxml", "--inactive", idle)
    kvm.define(xml.replace("</domain>", f"{own}</domain>").replace("</devices>", f"{disk}</devices>"))
    assert "ermission denied" in kvm.run("virsh", "start", idle, check=False).stderr
    failed = kvm.json("vm", "start", idle, check=False)
    assert f"QEMU's user libvirt-qemu may not read and write {kept} (-rw------- root:root)" in failed["error"]
    kvm.run("sh", "-c", failed["hint"])
    kvm.virtkit("vm", "start", idle)
