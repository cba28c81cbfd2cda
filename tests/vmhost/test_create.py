"""Machines are made from images, installers and nothing: on a real libvirt, and one of them boots."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from guest.machines import eventually
from support.depth import deep
from virtkit.core.errors import NotSupportedError
from virtkit.recipes import guest as demo
from virtkit.vm.domain import Domain
from vmhost.hosts import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDe admin@desk"
TCG = ("--accelerator", "tcg", "--no-network", "-y")


OTHERS = set[str]()  # what other tests left, or still need


def names(images: Path) -> set[str]:
    """What the test made."""
    return {path.name for path in images.iterdir()} - OTHERS


@pytest.fixture
def images(kvm: Host, name: str) -> Iterator[Path]:
    """The host's own images, without what a test left there."""
    before = set(kvm.images.iterdir())
    OTHERS.clear()
    OTHERS.update(path.name for path in before)
    (kvm.images / "key.pub").write_text(f"{KEY}\n")
    try:
        yield kvm.images
    finally:
        kvm.remove(name)
        for path in set(kvm.images.iterdir()) - before:
            path.unlink()


def defined(kvm: Host, name: str) -> Domain:
    return Domain.parse(kvm.virsh("dumpxml", "--inactive", name))


def refused(kvm: Host, *arguments: str) -> str:
    done = kvm.virtkit("vm", "create", *arguments, check=False)
    assert done.returncode not in {0, 3}
    return done.stderr


def test_a_machine_on_an_image_boots_with_its_seed_on_a_virtio_disk_and_goes_again(
    kvm: Host, name: str, images: Path
) -> None:
    try:
        demo.build(images / "base.raw")
    except NotSupportedError as error:
        pytest.skip(error.message)
    login = ("--user", "admin", "--ssh-key", f"{IMAGES}/key.pub", "--hostname", "web.example.org")
    source = ("--image", f"{IMAGES}/base.raw", "-f", "raw", "--by", "overlay", "--memory", "192M", "--cpus", "1")
    done = kvm.json("vm", "create", name, *source, *login, *TCG, "--start")
    assert [step["sign"] for step in done["actions"]] == ["+", "+", "+", "~"]
    kvm.wait(name)
    assert KEY in kvm.shell(name, "tr -cd ' -~' </dev/vdb")
    assert kvm.execute(name, "/bin/sh", "-c", "echo x >/dev/vdb").status != 0
    xml = defined(kvm, name)
    assert [(disk.target, disk.format, disk.read_only) for disk in xml.disks] == [
        ("vda", "qcow2", False),
        ("vdb", "raw", True),
    ]
    chain = json.loads(kvm.run("qemu-img", "info", "-U", "--output=json", f"{IMAGES}/{name}.qcow2").stdout)
    assert chain["full-backing-filename"] == f"{IMAGES}/base.raw"
    kvm.virsh("destroy", name)
    kvm.virtkit("undo", str(done["change"]), "-y")
    assert name not in kvm.machines()
    assert not (images / f"{name}-seed.iso").exists()


def test_an_image_of_another_format_is_converted_and_grown(kvm: Host, name: str, images: Path) -> None:
    kvm.run("qemu-img", "create", "-q", "-f", "vmdk", f"{IMAGES}/a.vmdk", "8M")
    arguments = (name, "--image", f"{IMAGES}/a.vmdk", "--size", "16M", "--workload", "database", "--autostart", *TCG)
    planned = kvm.virtkit("vm", "create", *arguments, "--plan", check=False)
    assert planned.returncode == 3
    assert name not in kvm.machines()
    assert names(images) == {"a.vmdk", "key.pub"}
    kvm.virtkit("vm", "create", *arguments)
    said = json.loads(kvm.run("qemu-img", "info", "--output=json", f"{IMAGES}/{name}.qcow2").stdout)
    assert (said["format"], said["virtual-size"]) == ("qcow2", 16 << 20)
    assert "Autostart:      enable" in kvm.virsh("dominfo", name)
    assert "exists already" in refused(kvm, *arguments)
    assert "exists already, and is not overwritten" in refused(
        kvm, "another", *arguments[1:], "--disk", f"{IMAGES}/{name}.qcow2"
    )


def test_an_installer_starts_while_the_disk_is_empty(kvm: Host, name: str, images: Path) -> None:
    (images / "install.iso").write_bytes(b"\0" * 40960)
    arguments = ("--empty", "--size", "1G", "--iso", f"{IMAGES}/install.iso", "--pxe", "--memory", "64M")
    assert "has no network card" in refused(kvm, name, *arguments, *TCG)
    kvm.virsh("net-start", "default", check=False)
    kvm.virtkit("vm", "create", name, *arguments, "--accelerator", "tcg", "-y", "--start")
    assert kvm.virsh("domstate", name) == "running"
    xml = kvm.virsh("dumpxml", "--inactive", name)
    assert [(disk.device, disk.bus) for disk in Domain.parse(xml).disks] == [("disk", "virtio"), ("cdrom", "sata")]
    assert xml.index("dev='hd'") < xml.index("dev='cdrom'") < xml.index("dev='network'")
    assert "listen type='socket'" in xml
    assert Domain.parse(xml).nics[0].network == "default"
    kvm.virsh("net-destroy", "default")


def test_an_image_in_place_is_taken_once(kvm: Host, name: str, images: Path) -> None:
    kvm.run("qemu-img", "create", "-q", "-f", "qcow2", f"{IMAGES}/mine.qcow2", "8M")
    before = (images / "mine.qcow2").stat().st_ino
    done = kvm.json("vm", "create", name, "--image", f"{IMAGES}/mine.qcow2", "--by", "in-place", *TCG)
    assert defined(kvm, name).disks[0].source == f"{IMAGES}/mine.qcow2"
    for way in ("in-place", "overlay"):
        assert f"is a disk of machine {name}" in refused(kvm, "b", "--image", f"{IMAGES}/mine.qcow2", "--by", way, *TCG)
    kvm.virtkit("undo", str(done["change"]), "-y")
    assert (images / "mine.qcow2").stat().st_ino == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--empty", "--accelerator", "tcg"), "no network is said"),
        (("--empty", "--bridge", "nobr"), "virtkit net bridge create nobr"),
        (("--empty", "--network", "nonet"), "nonet: no such network"),
        (("--empty", "--disk", "/nowhere/a.qcow2", *TCG), "mkdir -p /nowhere"),
        (("--image", "/nowhere/a.qcow2", *TCG), "no such file"),
        (("--empty", "--user", "admin", *TCG), "nobody could log in"),
        (("--empty", "--uefi", *TCG), "UEFI is asked for"),
        (("--empty", "--secure-boot", *TCG), "apt install ovmf"),
        (("--empty", "--tpm", *TCG), "apt install swtpm"),
        (("--empty", "--mac", "52:54:00:00:00:01"), "1 MAC addresses for 0 network cards"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(
    kvm: Host, name: str, images: Path, arguments: tuple[str, ...], told: str
) -> None:
    if {"--uefi", "--secure-boot"} & set(arguments) and os.path.isdir("/usr/share/qemu/firmware"):
        pytest.skip("this host has a UEFI firmware")
    if "--tpm" in arguments and shutil.which("swtpm"):
        pytest.skip("this host has swtpm")
    said = refused(kvm, name, *arguments)
    assert told in said
    assert name not in kvm.machines()
    assert names(images) == {"key.pub"}


def test_secure_boot_and_a_tpm_where_the_host_has_them(kvm: Host, name: str, images: Path) -> None:
    if not (os.path.isdir("/usr/share/qemu/firmware") and shutil.which("swtpm")):
        pytest.skip("needs ovmf and swtpm")
    left = kvm.folder / f"var/lib/libvirt/qemu/nvram/{name}_VARS.fd"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"of a machine that was")
    log = ("--serial-log", f"{IMAGES}/serial.log")
    asked = ("--empty", "--size", "1M", "--memory", "256M", "--secure-boot", "--tpm", *log)
    done = kvm.virtkit("vm", "create", name, *asked, *TCG, "--start")
    assert "UEFI variables that an earlier machine left" in done.stderr
    xml = kvm.virsh("dumpxml", name)
    assert "secure='yes'" in xml
    assert "<backend type='emulator'" in xml
    assert kvm.virsh("domstate", name) == "running"
    assert b"of a machine that was" not in left.read_bytes()
    (tpm,) = (kvm.folder / "var/lib/libvirt/swtpm").iterdir()
    if deep(1) > 1:  # 10 s under TCG: the firmware runs, and starts nothing that is not signed
        assert eventually(lambda: b"Security Violation" in (images / "serial.log").read_bytes(), seconds=60)
    kvm.virtkit("vm", "rm", name, "--force", "-y")
    assert (tpm.exists(), left.exists()) == (False, False)


@pytest.fixture
def pool(kvm: Host, images: Path) -> Iterator[str]:
    (images / "pool").mkdir()
    (images / "pool").chmod(0o711)
    kvm.virsh("pool-create-as", "bench", "dir", "--target", f"{IMAGES}/pool")
    yield "bench"
    kvm.virsh("pool-destroy", "bench")
    shutil.rmtree(images / "pool")


def volumes(kvm: Host, pool: str) -> list[str]:
    """As libvirt's own program lists them, without looking anew."""
    return sorted(line.split()[0] for line in kvm.virsh("vol-list", pool).splitlines())


def test_pools_name_what_it_is_made_from_and_where_and_list_what_is_made(kvm: Host, name: str, pool: str) -> None:
    kvm.run("qemu-img", "create", "-q", "-f", "vmdk", f"{IMAGES}/pool/base.vmdk", "8M")
    kvm.virtkit("vm", "create", name, "--image", f"{pool}:base.vmdk", "--pool", pool, *TCG)
    assert defined(kvm, name).disks[0].source == f"{IMAGES}/pool/{name}.qcow2"
    assert volumes(kvm, pool) == ["base.vmdk", f"{name}.qcow2"]
    kvm.virtkit("vm", "rm", name, "-y")
    assert volumes(kvm, pool) == ["base.vmdk"]
    kvm.virtkit("vm", "create", name, "--empty", "--size", "1M", "--disk", f"{pool}:mine.raw", *TCG)
    assert volumes(kvm, pool) == ["base.vmdk", "mine.raw"]
    assert f"virsh vol-list {pool}" in refused(kvm, "b", "--image", f"{pool}:nowhere.raw", *TCG)
    assert "virsh pool-list --all" in refused(kvm, "b", "--empty", "--pool", "nopool", *TCG)
    kvm.virsh("pool-define-as", "off", "dir", "--target", f"{IMAGES}/off")
    kvm.virsh("pool-define-as", "lvm", "logical", "--source-name", "novg", "--target", "/dev/novg")
    assert "virsh pool-start off" in refused(kvm, "b", "--empty", "--pool", "off", *TCG)
    assert "type is logical, expected dir, fs, netfs" in refused(kvm, "b", "--empty", "--pool", "lvm", *TCG)
    for each in ("off", "lvm"):
        kvm.virsh("pool-undefine", each)


def test_a_directory_boots_by_its_own_kernel_and_goes_with_it(kvm: Host, name: str, images: Path) -> None:
    try:
        kernel, initramfs = demo.kernel_and_initramfs()
    except NotSupportedError as error:
        pytest.skip(error.message)
    (images / "tree/boot").mkdir(parents=True)
    (images / "tree/sbin").mkdir()
    (images / "tree/sbin/init").symlink_to("/bin/busybox")
    shutil.copyfile(kernel, images / "tree/boot/vmlinuz-1")
    shutil.copyfile(initramfs, images / "tree/boot/initrd.img-1")
    try:
        size = ("--size", "160M", "--memory", "192M", "--cpus", "1")
        kvm.virtkit("vm", "create", name, "--tree", f"{IMAGES}/tree", *size, *TCG, "--start")
    finally:
        shutil.rmtree(images / "tree")
    kvm.wait(name)
    there = kvm.shell(name, "cat /proc/cmdline; od -A n -t x1 -j 1128 -N 16 /dev/vda | tr -d ' \n'")
    command, _, uuid = there.partition("\n")
    assert uuid in command.replace("-", "")  # s_uuid of ext4's superblock
    assert names(images) == {"key.pub", f"{name}.qcow2", f"{name}-vmlinuz", f"{name}-initrd.img"}
    kvm.virtkit("vm", "rm", name, "--force", "-y")
    assert names(images) == {"key.pub"}
