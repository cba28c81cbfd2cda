"""A guest's settings change while it runs, as far as libvirt can; what the guest itself sees is asked of its agent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from guest.machines import eventually
from virtkit import vm
from virtkit.core import engine
from virtkit.core.errors import MachineError, NotSupportedError, RolledBackError, UndoIncompleteError
from virtkit.core.system import System
from virtkit.core.units import GIB, MIB
from virtkit.vm import library, liveness
from virtkit.vm.blueprint import machine_xml
from virtkit.vm.difference import Change, devices, flatten
from virtkit.vm.domain import Domain
from virtkit.vm.edits import DiskSettings, NicSettings
from virtkit.vm.xml import Text, View, parse
from vmhost import hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.plan import Plan
    from vmhost.hosts import Host, Lan

pytestmark = pytest.mark.netns

NAME = "roomy"
DRIVE = """\
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/><target dev='sda' bus='sata'/><readonly/></disk>"""


@pytest.fixture(scope="module")
def _booted(lan: Lan) -> Iterator[None]:
    """One of three vCPUs, 192 MiB of 1 GiB, free PCI Express ports, two bridges: all set by the verbs themselves."""
    host = lan.host(1)
    try:
        plan = hosts.blueprint(NAME, host.disk(f"{NAME}.qcow2"))
    except NotSupportedError as error:
        pytest.skip(error.message)
    host.remove(NAME)
    host.define(machine_xml(plan).replace("<serial", f"{DRIVE}<serial", 1))
    host.disk("second.qcow2")
    for bridge in ("south", "north"):
        host.run("ip", "link", "add", bridge, "type", "bridge")
        host.run("ip", "link", "set", bridge, "up")
    for words in (("cpu", "1", "--most", "3"), ("memory", "192M", "--room", "1G"), ("ports", "6")):
        host.virtkit("vm", "set", NAME, *words, "-y")
    host.virsh("start", NAME)
    host.wait(NAME)
    yield
    host.remove(NAME)
    for bridge in ("south", "north"):
        host.run("ip", "link", "del", bridge)


@pytest.fixture
def roomy(_booted: None, speaking: Host) -> Host:
    """``NAME`` runs on it."""
    return speaking


def undo(host: Host, number: int) -> None:
    engine.undo(host.journal, number, System())


def fields(host: Host, *, later: bool = False) -> dict[str, str]:
    """By libvirt's own program."""
    return flatten(parse(host.virsh("dumpxml", NAME, *(["--inactive"] if later else []))))


def cpus(host: Host) -> int:
    return int(host.shell(NAME, "nproc"))


def memory(host: Host) -> int:
    """KiB that the guest's kernel has."""
    return int(host.shell(NAME, "grep MemTotal /proc/meminfo").split()[1])


def drift(since: tuple[Change, ...]) -> list[Change]:
    """What has drifted since then: vCPUs and virtio-mem that QEMU does not let go of are in all that comes after."""
    return [change for change in vm.diff(NAME) if change not in since]


def steps(plan: Plan) -> list[str]:
    return [action.kind for action in plan.actions]


def test_a_machine_that_has_just_started_runs_as_it_is_defined(roomy: Host) -> None:
    assert vm.diff(NAME) == ()
    assert roomy.virtkit("vm", "diff", NAME).stdout == f"✓ {NAME}: runs as its next start will have it\n"


def test_a_vcpu_comes_and_the_guest_uses_it_and_gives_it_back(roomy: Host) -> None:
    number = roomy.carry_out(vm.hotplug_cpu(NAME))
    assert (cpus(roomy), fields(roomy, later=True)["vcpu@current"]) == (2, "2")
    plan = vm.unplug_cpu(NAME)
    assert any("double free" in note for note in plan.notes)
    taken = roomy.carry_out(plan)
    assert (cpus(roomy), fields(roomy, later=True)["vcpu@current"]) == (1, "1")
    assert drift(()) == [Change("vcpu@current", "2", "1")]
    undo(roomy, taken)
    assert cpus(roomy) == 2
    undo(roomy, number)
    assert cpus(roomy) == 1
    assert roomy.virsh("domstate", NAME) == "running"


def test_a_vcpu_that_comes_to_a_pinned_machine_runs_where_the_others_do(roomy: Host) -> None:
    roomy.virsh("vcpupin", NAME, "0", "1", "--live", "--config")
    plan = vm.hotplug_cpu(NAME)
    assert plan.lines()[-1] == f"~ machine {NAME}: pin vCPU 1 on CPU 1"
    number = roomy.carry_out(plan)
    assert roomy.virsh("vcpupin", NAME, "--vcpu", "1").split()[-2:] == ["1", "1"]
    undo(roomy, number)
    assert "vcpu='1'" not in roomy.virsh("dumpxml", NAME, "--inactive").partition("<cputune>")[2]
    everywhere = f"0-{(os.cpu_count() or 1) - 1}"
    roomy.virsh("vcpupin", NAME, "0", everywhere, "--live", "--config")


def test_more_vcpus_than_qemu_has_room_for_wait_for_the_next_start(roomy: Host) -> None:
    with pytest.raises(NotSupportedError, match="was started with room for 3 vCPUs, expected room for 4"):
        vm.hotplug_cpu(NAME, 3)
    plan = vm.set_cpu(NAME, 4)
    assert steps(plan) == ["vm.redefine"]
    assert any("vcpu@current counts from the next start: QEMU was started with room for 3" in n for n in plan.notes)
    assert "a reboot inside the guest is not enough" in plan.notes[-1]


def test_memory_comes_as_a_module_and_as_virtio_mem_and_the_guest_has_it(roomy: Host) -> None:
    before = memory(roomy)
    module = roomy.carry_out(vm.hotplug_memory(NAME, 128 * MIB))
    assert memory(roomy) - before > 120 * 1024
    with pytest.raises(RolledBackError, match="rejected by the guest"):
        roomy.carry_out(vm.unplug(NAME, "memory", "ua-mem0"))
    assert any(path.startswith("dimm[ua-mem0]") for path in fields(roomy, later=True))
    given = roomy.carry_out(vm.hotplug_memory(NAME, 128 * MIB, virtio=True))
    assert eventually(lambda: memory(roomy) - before > 248 * 1024)
    undo(roomy, given)
    assert eventually(lambda: memory(roomy) - before < 136 * 1024)
    with pytest.raises(NotSupportedError, match="no room for 1 GiB"):
        vm.hotplug_memory(NAME, GIB)
    assert any("seldom lets go" in note for note in vm.hotplug_memory(NAME, 128 * MIB).notes)
    with pytest.raises(UndoIncompleteError, match="rejected by the guest"):
        undo(roomy, module)
    assert any(path.startswith("dimm[ua-mem0]") for path in fields(roomy))


def test_the_balloon_takes_memory_and_gives_it_back(roomy: Host) -> None:
    before = memory(roomy)
    number = roomy.carry_out(vm.set_memory(NAME, 160 * MIB))
    assert memory(roomy) < before - 20 * 1024
    assert fields(roomy, later=True)["currentMemory"] == str(160 * MIB)
    assert eventually(lambda: fields(roomy)["currentMemory"] == str(160 * MIB))
    undo(roomy, number)
    assert memory(roomy) == before


def test_a_disk_comes_and_goes_and_the_guest_says_so(roomy: Host) -> None:
    number = roomy.carry_out(vm.hotplug_disk(NAME, f"{hosts.IMAGES}/second.qcow2", "qcow2"))
    assert "vdb" in roomy.shell(NAME, "ls /sys/block")
    taken = roomy.carry_out(vm.unplug(NAME, "disk", "vdb"))
    assert "vdb" not in roomy.shell(NAME, "ls /sys/block")
    assert "disk[vdb]@type" not in fields(roomy, later=True)
    undo(roomy, taken)
    assert fields(roomy)["disk[vdb]/source@file"] == fields(roomy, later=True)["disk[vdb]/source@file"]
    undo(roomy, number)
    assert not {path for path in fields(roomy) if path.startswith("disk[vdb]")}


def test_a_disk_that_libvirt_does_not_take_leaves_nothing(roomy: Host) -> None:
    before = fields(roomy, later=True)
    with pytest.raises(RolledBackError, match="No such file"):
        roomy.carry_out(vm.hotplug_disk(NAME, "/nowhere.qcow2", "qcow2"))
    assert fields(roomy, later=True) == before


def test_cache_and_io_wait_for_the_next_start_and_limits_do_not(roomy: Host) -> None:
    before = vm.diff(NAME)
    plan = vm.set_disk(NAME, "vda", DiskSettings(cache="writeback", io="threads", limits={"iops": 50}))
    assert steps(plan) == ["vm.redefine", "vm.tune"]
    assert any("driver@cache counts from the next start: QEMU opens the image with it" in note for note in plan.notes)
    number = roomy.carry_out(plan)
    assert "total_iops_sec : 50" in roomy.virsh("blkdeviotune", NAME, "vda")
    assert drift(before) == [
        Change("disk[vda]/driver@cache", "none", "writeback"),
        Change("disk[vda]/driver@io", "native", "threads"),
    ]
    assert "disk[vda]/driver@cache: none -> writeback" in roomy.virtkit("vm", "show", NAME).stdout
    assert roomy.virtkit("vm", "diff", NAME, check=False).returncode == 1
    undo(roomy, number)
    assert "total_iops_sec : 0" in roomy.virsh("blkdeviotune", NAME, "vda")
    assert drift(before) == []


def test_a_card_comes_moves_and_loses_its_link(roomy: Host) -> None:
    before = vm.diff(NAME)
    plugged = roomy.carry_out(vm.hotplug_nic(NAME, bridge="south"))
    moved = roomy.carry_out(vm.set_nic(NAME, "", NicSettings(bridge="north", link="down", model="e1000e")))
    mac = next(nic.mac for nic in vm.show(NAME).nics)
    now, later = fields(roomy), fields(roomy, later=True)
    assert now[f"interface[{mac}]/source@bridge"] == later[f"interface[{mac}]/source@bridge"] == "north"
    assert now[f"interface[{mac}]/link@state"] == "down"
    assert roomy.shell(NAME, "cat /sys/class/net/eth0/carrier 2>/dev/null || echo down").strip() in ("0", "down")
    assert [change.path for change in drift(before)] == [f"interface[{mac}]/model@type"]
    undo(roomy, moved)
    assert fields(roomy)[f"interface[{mac}]/source@bridge"] == "south"
    undo(roomy, plugged)
    assert drift(before) == []


def test_a_card_moves_to_a_network_and_back(roomy: Host) -> None:
    network = "<network><name>inner</name><forward mode='bridge'/><bridge name='north'/></network>"
    roomy.run("virsh", "-q", "net-create", "/dev/stdin", text=network)
    before = vm.diff(NAME)
    plugged = roomy.carry_out(vm.hotplug_nic(NAME, bridge="south"))
    moved = roomy.carry_out(vm.set_nic(NAME, "", NicSettings(network="inner")))
    mac = next(nic.mac for nic in vm.show(NAME).nics)
    assert fields(roomy)[f"interface[{mac}]/source@network"] == "inner"
    assert drift(before) == []
    undo(roomy, moved)
    assert fields(roomy)[f"interface[{mac}]/source@bridge"] == "south"
    undo(roomy, plugged)
    roomy.virsh("net-destroy", "inner")


@pytest.mark.parametrize(
    ("path", "value"),
    [("driver@cache", "directsync"), ("driver@io", "threads"), ("driver@discard", "ignore")],
)
def test_libvirt_refuses_what_the_table_says_that_it_refuses(roomy: Host, path: str, value: str) -> None:
    """If a newer libvirt takes it, the table is to be changed."""
    assert not liveness.rule(f"disk[vda]/{path}").knob
    with roomy.open() as libvirt:
        machine = libvirt.machine(NAME)
        node = devices(machine.now().node)["disk[vda]"]
        Text(path).write(View(node), value)
        with pytest.raises(NotSupportedError, match=f"cannot modify field '{path.partition('@')[2]}'"):
            machine.update_device(node, library.LIVE)


def test_libvirt_takes_detection_of_zeroes_and_changes_nothing(roomy: Host) -> None:
    """So it is not asked; if a newer libvirt does it, the table is to be changed."""
    assert not liveness.rule("disk[vda]/driver@detect_zeroes").knob
    with roomy.open() as libvirt:
        machine = libvirt.machine(NAME)
        node = devices(machine.now().node)["disk[vda]"]
        Text("driver@detect_zeroes").write(View(node), "on")
        machine.update_device(node, library.LIVE)
    assert "disk[vda]/driver@detect_zeroes" not in fields(roomy)


def test_a_device_of_an_edit_is_plugged_in_at_once(roomy: Host) -> None:
    document = Domain.parse(vm.definition(NAME))
    document.devices.append(
        parse("<interface type='bridge'><source bridge='south'/><model type='virtio'/></interface>")
    )
    number = roomy.carry_out(vm.edit(NAME, document.text()))
    assert len(vm.show(NAME).nics) == 1
    assert len(roomy.virsh("domiflist", NAME, "--inactive").splitlines()) == 1
    undo(roomy, number)
    assert vm.show(NAME).nics == ()


def test_a_device_without_a_free_port_is_refused_before_anything_happens(speaking: Host, guest: str) -> None:
    speaking.run("ip", "link", "add", "lonely", "type", "bridge", check=False)
    try:
        first = speaking.carry_out(vm.hotplug_nic(guest, bridge="lonely"))
        with pytest.raises(NotSupportedError, match="no PCI Express port is free"):
            vm.hotplug_nic(guest, bridge="lonely")
        undo(speaking, first)
    finally:
        speaking.run("ip", "link", "del", "lonely", check=False)


def test_a_medium_goes_into_a_running_drive_and_out(roomy: Host) -> None:
    roomy.run("truncate", "-s", "1M", f"{hosts.IMAGES}/some.iso")
    before = vm.diff(NAME)
    number = roomy.carry_out(vm.set_disk(NAME, "sda", DiskSettings(medium=f"{hosts.IMAGES}/some.iso")))
    assert fields(roomy)["disk[sda]/source@file"] == f"{hosts.IMAGES}/some.iso"
    assert drift(before) == []
    undo(roomy, number)
    assert "disk[sda]/source@file" not in fields(roomy)
    assert drift(before) == []


def test_a_disk_on_a_bus_without_hotplug_waits_for_the_next_start(roomy: Host) -> None:
    document = Domain.parse(vm.definition(NAME))
    document.devices.append(parse(DRIVE.replace("sda", "sdb")))
    plan = vm.edit(NAME, document.text())
    assert steps(plan) == ["vm.redefine"]
    assert plan.notes[0] == "disk[sdb] counts from the next start: libvirt plugs disks on virtio, scsi and usb alone"


def test_an_edit_changes_what_it_can_at_once_and_is_taken_back(roomy: Host) -> None:
    document = Domain.parse(vm.definition(NAME))
    document.title = "a new title"
    document.vcpus = 4
    plan = vm.edit(NAME, document.text())
    assert steps(plan) == ["vm.redefine", "vm.tune"]
    assert any(line == "+  <title>a new title</title>" for line in plan.actions[0].details())
    assert any(note.startswith("vcpu counts from the next start") for note in plan.notes)
    number = roomy.carry_out(plan)
    assert roomy.virsh("desc", NAME, "--title") == "a new title"
    undo(roomy, number)
    assert "a new title" not in roomy.virsh("dumpxml", NAME) + roomy.virsh("dumpxml", NAME, "--inactive")
    assert vm.edit(NAME, vm.definition(NAME)).actions == ()


def test_libvirt_says_what_is_wrong_with_an_edit(roomy: Host) -> None:
    xml = vm.definition(NAME)
    with pytest.raises((MachineError, NotSupportedError), match="roomy: .*os type 'xen'"):
        vm.edit(NAME, xml.replace(">hvm<", ">xen<"))
    with pytest.raises(RolledBackError, match="bogus"):
        roomy.carry_out(vm.edit(NAME, xml.replace("<vcpu", "<bogus/><vcpu", 1)))
    with pytest.raises(NotSupportedError, match="name is other, expected roomy"):
        vm.edit(NAME, xml.replace(f"<name>{NAME}<", "<name>other<"))
    assert vm.definition(NAME) == xml


def test_passwords_stay_and_are_never_in_the_journal(speaking: Host, idle: str) -> None:
    xml = speaking.virsh("dumpxml", idle)
    graphics = "<graphics type='vnc' autoport='yes' passwd='geheim42'/><video><model type='vga'/></video></devices>"
    speaking.define(xml.replace("</devices>", graphics))
    number = speaking.carry_out(vm.set_cpu(idle, 1))
    assert "passwd='geheim42'" in speaking.virsh("dumpxml", idle, "--security-info")
    undo(speaking, number)
    assert "passwd='geheim42'" in speaking.virsh("dumpxml", idle, "--security-info")
    assert "geheim42" not in "".join(
        path.read_text() for path in speaking.journal.directory.iterdir() if path.is_file()
    )
    with pytest.raises(NotSupportedError, match="holds a password"):
        vm.edit(idle, vm.definition(idle).replace('type="vnc"', 'type="vnc" passwd="new"'))


def test_a_pci_device_goes_into_a_definition(speaking: Host, idle: str) -> None:
    number = speaking.carry_out(vm.hotplug_pci(idle, "0000:7f:1f.7"))
    assert "<address domain='0x0000' bus='0x7f' slot='0x1f' function='0x7'/>" in speaking.virsh("dumpxml", idle)
    taken = speaking.carry_out(vm.unplug(idle, "pci", "7f:1f.7"))
    assert "hostdev" not in speaking.virsh("dumpxml", idle)
    undo(speaking, taken)
    undo(speaking, number)
    assert "hostdev" not in speaking.virsh("dumpxml", idle)


def test_a_restart_makes_what_waited_count(kvm: Host, name: str) -> None:
    kvm.define(machine_xml(hosts.idle(name, kvm.disk(f"{name}.qcow2"))))
    kvm.virsh("start", name)
    try:
        kvm.virtkit("vm", "set", name, "disk", "vda", "--cache", "directsync", "-y")
        before = kvm.virsh("domid", name)
        told = kvm.virtkit("vm", "restart", name, "--force", "--plan", check=False).stdout
        assert "what waited for it counts then: disk[vda]/driver@cache" in told
        kvm.virtkit("vm", "restart", name, "--force", "-y")
        assert kvm.virsh("domid", name) != before
        assert Domain.parse(kvm.virsh("dumpxml", name)).disks[0].cache == "directsync"
        kvm.virsh("destroy", name)
        kvm.virtkit("vm", "restart", name, "-y")
        assert kvm.virsh("domstate", name) == "running"
    finally:
        kvm.remove(name)
