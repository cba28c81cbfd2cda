"""A directory becomes a disk, or is refused with the reason; e2fsprogs' own programs read the result."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotFoundError, NotSupportedError, UsageError
from virtkit.core.progress import silent
from virtkit.core.system import System
from virtkit.core.units import MIB
from virtkit.recipes.making import tree
from virtkit.recipes.making.filesystem import TreeDisk
from virtkit.recipes.making.order import Storage

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "6.1.0-9-cloud-amd64"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """As small as what would boot."""
    made = tmp_path / "tree"
    for folder in ("sbin", "boot", f"lib/modules/{VERSION}", "etc"):
        (made / folder).mkdir(parents=True)
    (made / "sbin/init").symlink_to("/lib/systemd/systemd")
    for version in (VERSION, "6.1.0-10-cloud-amd64"):
        (made / f"boot/vmlinuz-{version}").write_bytes(b"kernel")
        (made / f"boot/initrd.img-{version}").write_bytes(b"initrd")
    (made / "etc/secret").write_text("not for everybody")
    (made / "etc/secret").chmod(0o640)
    os.link(made / "etc/secret", made / "etc/same")
    return made


def planned(root: Path, size: int = 128 * MIB) -> tree.Planted:
    return tree.plan("web1", Storage(tree=str(root)), f"{root.parent}/web1.qcow2", size, System())


def test_it_boots_the_newest_kernel_by_the_uuid_of_its_file_system(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: the files in the guest would belong to nobody")
    found = planned(root)
    disk, kernel, initrd = found.actions
    assert isinstance(disk, TreeDisk)
    assert kernel.data()["fields"] == {
        "source": f"{root}/boot/vmlinuz-6.1.0-10-cloud-amd64",
        "target": f"{root.parent}/web1-vmlinuz",
        "what": "its kernel",
    }
    assert initrd.describe() == f"{found.initrd}: its initrd, from {root}/boot/initrd.img-6.1.0-10-cloud-amd64"
    assert found.arguments == f"root=UUID={disk.uuid} rw console=tty0 console=ttyS0"


def test_the_disk_holds_the_tree_as_it_is(root: Path) -> None:
    if os.geteuid() != 0 or shutil.which("debugfs") is None:
        pytest.skip("needs root and e2fsprogs")
    (disk, *_) = planned(root).actions
    disk.apply(System(), silent)
    disk.verify(System())
    assert {path.name for path in root.parent.iterdir()} == {"tree", "web1.qcow2"}
    assert (root.parent / "web1.qcow2").stat().st_mode & 0o077 == 0
    raw = root.parent / "raw"
    subprocess.run(["qemu-img", "convert", root.parent / "web1.qcow2", raw], check=True)
    listed = subprocess.run(["debugfs", "-R", "stat /etc/secret", raw], capture_output=True, text=True, check=True)
    assert "Mode:  0640" in listed.stdout
    assert "Links: 2" in listed.stdout
    told = subprocess.run(["debugfs", "-R", "cat /etc/same", raw], capture_output=True, text=True, check=True)
    assert told.stdout == "not for everybody"


def test_what_would_not_boot_is_refused_with_the_reason(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with pytest.raises(UsageError, match="size is 1 MiB, expected at least 65 MiB"):
        planned(root, MIB)
    for initrd in (root / "boot").glob("initrd*"):
        initrd.unlink()
    with pytest.raises(
        NotSupportedError, match="has no initrd beside it, and ext4, virtio_blk, virtio_pci not built in"
    ):
        planned(root)
    modules = root / "lib/modules/6.1.0-10-cloud-amd64"
    modules.mkdir()
    names = ("fs/ext4/ext4.ko", "drivers/block/virtio_blk.ko", "drivers/virtio/virtio_pci.ko")
    (modules / "modules.builtin").write_text("".join(f"kernel/{name}\n" for name in names))
    assert planned(root).arguments.startswith("root=/dev/vda ")
    for kernel in (root / "boot").glob("vmlinuz*"):
        kernel.unlink()
    with pytest.raises(NotSupportedError, match=r"has no boot/vmlinuz"):
        planned(root)
    (root / "sbin/init").unlink()
    with pytest.raises(NotSupportedError, match=r"has no sbin/init"):
        planned(root)
    os.chown(root, 12345, 12345)
    (root / "sbin/init").write_text("")
    with pytest.raises(NotSupportedError, match="belongs to user 12345, expected root"):
        planned(root)
    with pytest.raises(NotFoundError, match="no such directory"):
        planned(root / "nowhere")
