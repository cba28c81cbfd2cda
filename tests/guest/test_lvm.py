"""Logical volumes under the distribution's kernel: its device-mapper, its LVM, and virtkit running in the guest."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from guest import workshop
from support.depth import only_deep
from support.qemu import Machine
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.qemu import Agent

pytestmark = [pytest.mark.netns, pytest.mark.timeout(400)]

Json = dict[str, object]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """In a guest with an empty volume group ``vg`` of 2 GiB."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("needs qemu-system-x86_64")
    place = tmp_path_factory.mktemp("lvm")
    try:
        kernel, initramfs = workshop.build(place, workshop.LVM)
    except NotSupportedError as error:
        pytest.skip(error.message)
    disk = place / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(2 << 30)
    boot = ("-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet")
    with Machine(place, ["-m", "512", *boot, "-drive", f"if=virtio,format=raw,file={disk}"]) as machine:
        found = machine.agent()
        shell(found, "sh /lib/drivers; pvcreate -q /dev/vda && vgcreate -q vg /dev/vda")
        yield found


def shell(agent: Agent, script: str) -> str:
    """Its output and errors, and its exit status if that is not 0."""
    return agent.shell(f". /lib/workshop; cd /run; ({script}) 2>&1 || echo status $?")


def virtkit(agent: Agent, words: str) -> str:
    return shell(agent, f"python3 -m virtkit disk {words}")


def listed(agent: Agent) -> dict[str, Json]:
    """By name."""
    found: dict[str, list[Json]] = json.loads(virtkit(agent, "lvm list --output json"))
    return {str(volume["name"]): volume for volume in found["volumes"]}


def test_a_plain_volume_is_a_disk_has_snapshots_and_goes(agent: Agent) -> None:
    assert "+ vg/root: logical volume of 64 MiB" in virtkit(agent, "lvm create vg/root 61M --plan")
    assert "root" not in listed(agent)
    assert "✓ create vg/root: done (change 1" in virtkit(agent, "lvm create vg/root 61M -y")
    shell(agent, "dd if=/dev/urandom of=source.raw bs=1M count=3")
    assert "64 MiB" in virtkit(agent, "convert -f raw -O raw --overwrite source.raw vg/root")
    assert shell(agent, "cmp -n 3145728 source.raw /dev/vg/root") == ""
    virtkit(agent, "lvm snapshot /dev/vg/root before -y")
    shell(agent, "dd if=/dev/zero of=/dev/vg/root bs=1M count=2 conv=fsync")
    assert "Images are identical" in virtkit(agent, "compare -f raw -F raw source.raw vg/before")
    volumes = listed(agent)
    assert (volumes["before"]["kind"], volumes["before"]["origin"]) == ("snapshot", "root")
    assert volumes["before"]["size"] == volumes["root"]["size"] == 64 << 20
    assert volumes["before"]["reserved"] == 16 << 20
    assert 10 < float(str(volumes["before"]["data-percent"])) < 16
    assert "vg/before would go with it" in virtkit(agent, "lvm remove vg/root -y")
    assert "status 3" in virtkit(agent, "lvm remove vg/root --with-snapshots --plan")
    said = virtkit(agent, "lvm remove vg/root --with-snapshots -y")
    assert "✓ vg/before: removed\n✓ vg/root: removed\n" in said
    assert shell(agent, "lvs --noheadings vg").strip() == ""


def test_thin_volumes_take_room_as_they_are_written(agent: Agent) -> None:
    virtkit(agent, "lvm create vg/pool 128M --pool -y")
    virtkit(agent, "lvm create vg/thin 5G --thin pool -y")
    shell(agent, "dd if=/dev/urandom of=/dev/vg/thin bs=1M count=32 conv=fsync")
    virtkit(agent, "lvm snapshot vg/thin copy -y")
    volumes = listed(agent)
    assert (volumes["thin"]["pool"], volumes["copy"]["origin"]) == ("pool", "thin")
    assert volumes["copy"]["size"] == 5 << 30
    assert volumes["copy"]["active"] is True
    assert volumes["pool"]["data-percent"] == 25.0
    assert float(str(volumes["pool"]["metadata-percent"])) > 0
    shown = virtkit(agent, "lvm list")
    assert "vg/thin" in shown
    assert "25 %" in shown
    assert shell(agent, "cmp -n 34603008 /dev/vg/thin /dev/vg/copy && lvremove -qqy vg/pool") == ""


def test_a_new_volume_is_kept_by_undo_and_removed_when_asked(agent: Agent) -> None:
    done = virtkit(agent, "lvm create vg/new 8M --output json -y 2>/dev/null")
    undo = f"python3 -m virtkit undo {json.loads(done)['change']} -y"
    shell(agent, undo)
    assert "new" in listed(agent)
    shell(agent, f"{undo} --disks")
    assert "new" not in listed(agent)


REMOVE = """
from virtkit.core.progress import silent
from virtkit.core.system import System
from virtkit.recipes.removal.volumes import removals
disks = {"/dev/vg/web": "disk vda", "/dev/vda": "disk vdb", "/dev/vg/kept": "disk vdc"}
steps, kept = removals(disks, System(), active=False)
for step in steps:
    print(step.describe())
    step.apply(System(), silent)
    step.verify(System())
for path, why in kept.items():
    print(path, why)
"""


@only_deep("10 s of LVM's own work")
def test_the_volumes_of_a_removed_machine_go_and_what_would_take_more_along_stays(agent: Agent) -> None:
    for command in ("create vg/web 8M", "create vg/kept 8M", "snapshot vg/kept of-it"):
        virtkit(agent, f"lvm {command} -y")
    said = shell(agent, f"python3 -c '{REMOVE}'")
    assert "vg/web: remove the logical volume for good, disk vda, 8 MiB" in said
    assert "/dev/vda disk vdb, a device: /dev/vda: no such logical volume" in said
    assert "/dev/vg/kept disk vdc, a device: vg/kept: vg/of-it would go with it" in said
    assert listed(agent).keys() == {"kept", "of-it"}
    shell(agent, "lvremove -qqy vg/kept")


def test_what_cannot_be_is_refused_before_lvm_is_asked(agent: Agent) -> None:
    assert "vg/x: no such logical volume" in virtkit(agent, "lvm snapshot vg/x y")
    assert "nogroup: no such volume group" in virtkit(agent, "lvm create nogroup/x 1G")
    assert "are free, expected 9 GiB" in virtkit(agent, "lvm create vg/x 9G")
    assert "expected VG/LV" in virtkit(agent, "lvm create justaname 1G")
    virtkit(agent, "lvm create vg/used 8M -y")
    assert "vg/used: exists already" in virtkit(agent, "lvm create vg/used 8M")
    assert "vg/used: is open" in shell(agent, "exec 9</dev/vg/used; python3 -m virtkit disk lvm remove vg/used -y")
    shell(agent, "lvremove -qy vg/used")
