"""Appliances become machines: on a real libvirt, and one of them boots."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest

from support import appliances
from virtkit.core.errors import NotSupportedError
from virtkit.recipes import guest as demo
from virtkit.vm.domain import Domain
from vmhost.hosts import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

TCG = ("--accelerator", "tcg")
VMX = 'virtualHW.version = "10"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "split.vmdk"\nguestOS = "windows9-64"\n'
VBOX = """<VirtualBox><Machine name="box"><MediaRegistry><HardDisks>
<HardDisk uuid="{a}" location="box.vdi"/></HardDisks></MediaRegistry><Hardware><Memory RAMSize="64"/>
<StorageControllers><StorageController type="AHCI"><AttachedDevice type="HardDisk"><Image uuid="{a}"/></AttachedDevice>
</StorageController></StorageControllers></Hardware></Machine></VirtualBox>"""


@pytest.fixture
def package(kvm: Host, name: str) -> Iterator[Path]:
    """A directory for packages, which the host sees as IMAGES/package; new disks and machines go with it."""
    before = set(kvm.images.iterdir())
    folder = kvm.images / "package"
    folder.mkdir()
    try:
        yield folder
    finally:
        kvm.remove(name)
        kvm.run("rm", "-rf", *(f"{IMAGES}/{path.name}" for path in set(kvm.images.iterdir()) - before))


@pytest.fixture
def two(kvm: Host, package: Path) -> Path:
    """An OVA with a stream-optimized disk and one that is packed; each holds a pattern."""
    for number, (file, kind) in enumerate((("a.vmdk", "streamOptimized"), ("b.vmdk", "monolithicSparse")), 1):
        raw = f"{IMAGES}/package/raw"
        kvm.run("qemu-img", "create", "-q", "-f", "raw", raw, "8M")
        kvm.run("qemu-io", "-f", "raw", "-c", f"write -P {number} 3M 1M", raw)
        to = f"{IMAGES}/package/{file}"
        kvm.run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={kind}", raw, to)
    (package / "b.vmdk.gz").write_bytes(gzip.compress((package / "b.vmdk").read_bytes()))
    (package / "vm.ovf").write_text(appliances.ovf({"a.vmdk": 8, "b.vmdk.gz": 8}))
    (package / "vm.mf").write_text(appliances.manifest(package, "vm.ovf", "a.vmdk", "b.vmdk.gz"))
    appliances.ova(package / "vm.ova", package, "vm.ovf", "vm.mf", "a.vmdk", "b.vmdk.gz")
    for each in ("a.vmdk", "b.vmdk", "b.vmdk.gz", "vm.ovf", "vm.mf", "raw"):
        (package / each).unlink()
    return package


def refused(kvm: Host, *arguments: str) -> str:
    done = kvm.virtkit("vm", "import", *arguments, check=False)
    assert done.returncode not in {0, 3}, done.stdout
    return done.stderr


def pattern(kvm: Host, disk: str, number: int) -> bool:
    done = kvm.run("qemu-io", "-U", "-r", "-f", "qcow2", "-c", f"read -P {number} 3M 1M", disk)
    return "failed" not in done.stdout


def test_an_appliance_boots(kvm: Host, name: str, package: Path) -> None:
    try:
        demo.build(package / "disk.raw")
    except NotSupportedError as error:
        pytest.skip(error.message)
    demo.foreign(package / "disk.raw", package / "disk.vmdk")
    (package / "vm.ovf").write_text(appliances.ovf({"disk.vmdk": 1024}, more=""))
    appliances.ova(package / "vm.ova", package, "vm.ovf", "disk.vmdk")
    (package / "disk.raw").unlink()
    (package / "disk.vmdk").unlink()
    kvm.virtkit("vm", "import", f"{IMAGES}/package/vm.ova", "--name", name, *TCG, "-y", "--start")
    kvm.wait(name)
    assert kvm.shell(name, "cat /sys/block/vda/size").strip() == str((1 << 30) // 512)


def test_both_disks_come_out_of_the_archive_and_undo_forgets_the_machine(kvm: Host, name: str, two: Path) -> None:
    arguments = (f"{IMAGES}/package/vm.ova", "--name", name, *TCG, "--map", "VM Network=network:default", "-y")
    kvm.virsh("net-start", "default", check=False)
    planned = kvm.virtkit("vm", "import", *arguments, "--dry-run", check=False)
    assert planned.returncode == 3
    for told in ("held against the manifest", "not carried over: CD drive", "--bus sata", "is unpacked first"):
        assert told in planned.stdout
    assert [path.name for path in kvm.images.iterdir() if path.name.startswith(name)] == []
    done = kvm.json("vm", "import", *arguments, "--keep-macs")
    made = Domain.parse(kvm.virsh("dumpxml", "--inactive", name))
    assert [disk.source for disk in made.disks] == [f"{IMAGES}/{name}.qcow2", f"{IMAGES}/{name}-1.qcow2"]
    assert all(pattern(kvm, disk.source, number) for number, disk in enumerate(made.disks, 1))
    assert (made.memory, made.nics[0].mac, made.nics[0].network) == (192 << 20, "00:50:56:00:00:01", "default")
    assert sorted(path.name for path in two.iterdir()) == ["vm.ova"]
    assert "exists already" in refused(kvm, *arguments)
    kvm.virtkit("undo", str(done["change"]), "-y")
    assert name not in kvm.machines()
    kvm.virsh("net-destroy", "default")


def test_networks_have_to_be_said_and_the_manifest_has_to_match(kvm: Host, name: str, two: Path) -> None:
    archive = f"{IMAGES}/package/vm.ova"
    said = refused(kvm, archive, "--name", name, *TCG, "-y")
    assert "'VM Network'" in said
    assert "bridge:br0" in said
    assert "expected one of its own: VM Network" in refused(kvm, archive, "--map", "LAN=user", "-y")
    content = (two / "vm.ova").read_bytes()
    (two / "vm.ova").write_bytes(content.replace(b"ddb.adapterType", b"ddb.Adaptertype", 1))
    assert content != (two / "vm.ova").read_bytes()
    said = refused(kvm, archive, "--name", name, "--no-network", *TCG, "-y")
    assert "it was changed, or did not arrive whole" in said
    assert name not in kvm.machines()
    assert not [path for path in kvm.images.iterdir() if path.name.startswith(name)]


def test_windows_of_vmware_gets_sata_and_a_disk_of_two_files(kvm: Host, name: str, package: Path) -> None:
    (package / "vm.vmx").write_text(VMX)
    options = ("-o", "subformat=twoGbMaxExtentFlat")
    kvm.run("qemu-img", "create", "-q", "-f", "vmdk", *options, f"{IMAGES}/package/split.vmdk", "8M")
    done = kvm.json("vm", "import", f"{IMAGES}/package/vm.vmx", "--name", name, *TCG, "-y")
    (disk,) = Domain.parse(kvm.virsh("dumpxml", "--inactive", name)).disks
    assert (disk.bus, disk.format) == ("sata", "qcow2")
    assert "virtio-win" in done["notes"][0]
    size = json.loads(kvm.run("qemu-img", "info", "--output=json", disk.source).stdout)["virtual-size"]
    assert size == 8 << 20


def test_a_machine_of_virtualbox_has_its_vdi(kvm: Host, name: str, package: Path) -> None:
    (package / "vm.vbox").write_text(VBOX)
    kvm.run("qemu-img", "create", "-q", "-f", "vdi", f"{IMAGES}/package/box.vdi", "8M")
    kvm.virtkit("vm", "import", f"{IMAGES}/package/vm.vbox", "--name", name, *TCG, "-y")
    (disk,) = Domain.parse(kvm.virsh("dumpxml", "--inactive", name)).disks
    assert (disk.bus, disk.source) == ("virtio", f"{IMAGES}/{name}.qcow2")
    (package / "box.vdi").unlink()
    assert "box.vdi is not beside it" in refused(kvm, f"{IMAGES}/package/vm.vbox", "--name", f"{name}b", *TCG)
