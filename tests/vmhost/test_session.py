"""An ordinary user, with libvirt's own session: what needs no root works, what needs it says so, and what to type."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from guest.machines import eventually
from virtkit.core.errors import NotSupportedError
from virtkit.vm.blueprint import Disk, Nic, machine_xml
from virtkit.vm.forwards import Forward
from vmhost import hosts
from vmhost.people import Person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

IMAGES = "/home/anna/.local/share/libvirt/images"
EMPTY = ("--empty", "--size", "1M", "--memory", "64M", "--accelerator", "tcg", "-y")
ROOTS = "qemu:///system"


@pytest.fixture
def anna(kvm: Host) -> Person:
    return Person.at(kvm)


@pytest.fixture
def mine(anna: Person, name: str) -> Iterator[str]:
    """A machine of hers that is off, and has nothing to boot."""
    anna.virtkit("vm", "create", f"{name}-mine", *EMPTY)
    yield f"{name}-mine"
    anna.virtkit("vm", "rm", f"{name}-mine", "--force", "-y", check=False)


def refused(anna: Person, *arguments: str, uri: str = "") -> str:
    done = anna.virtkit(*arguments, check=False, uri=uri)
    assert done.returncode in {1, 2}, (done.returncode, done.stdout, done.stderr)
    return done.stderr


@pytest.fixture
def guest(anna: Person, name: str) -> Iterator[str]:
    """One that boots, with a disk of 16 MiB and a card on QEMU's own NAT; its agent answers."""
    anna.run("mkdir", "-p", IMAGES)
    anna.run("qemu-img", "create", "-q", "-f", "qcow2", f"{IMAGES}/{name}.qcow2", "16M")
    try:
        blueprint = hosts.blueprint(name, Disk(f"{IMAGES}/{name}.qcow2", "qcow2"))
    except NotSupportedError as error:
        pytest.skip(error.message)
    xml = machine_xml(replace(blueprint, nics=(Nic(user=True),)))
    anna.define(xml)
    yield name
    anna.virtkit("vm", "rm", name, "--force", "-y", check=False)


def test_a_machine_lives_and_is_kept_safe_without_root(anna: Person, guest: str) -> None:
    anna.virtkit("vm", "start", guest)
    assert eventually(lambda: "10.0.2.15" in anna.virtkit("vm", "ip", guest, check=False).stdout, seconds=60)
    _leads_into(anna, guest, "2222:22")
    anna.virtkit("vm", "backup", guest, "/home/anna/kept", "-y")
    anna.virtkit("vm", "backup", guest, "/home/anna/kept", "--incremental", "-y")
    anna.virtkit("vm", "snapshot", guest, "create", "before", "-y")
    anna.virtkit("vm", "kill", guest, "-y")
    assert "reads as it was made" in anna.virtkit("vm", "backup", "verify", "/home/anna/kept").stdout
    anna.virtkit("vm", "rm", guest, "-y")
    assert anna.run("ls", IMAGES).stdout == ""
    journal = anna.run("ls", "/home/anna/.local/state/virtkit/journal").stdout.split()
    assert len(journal) == len(anna.json("history"))


def _leads_into(anna: Person, name: str, forward: str) -> None:
    """By passt; where libvirt has none, the command that the refusal names does it for as long as the machine runs."""
    card = ("vm", "hotplug", name, "nic", "--user-net", "-y")
    done = anna.virtkit(*card, "--forward", forward, check=False)
    if done.returncode:
        assert "passt" in done.stderr
        anna.run("sh", "-c", done.stderr.partition("try: ")[2].partition("   (")[0])
        anna.virtkit(*card)
    assert anna.virsh("domiflist", name).count(" user ") == 2
    anna.run(sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {forward[:4]}), 5)")


def test_forwarded_ports_are_as_libvirts_schema_has_them(anna: Person, name: str) -> None:
    """It is asked first: a libvirt without passt only then finds that it knows none."""
    forward = Forward("127.0.0.1", 2222, 22)
    plain = hosts.idle(name)
    told = anna.defining(machine_xml(replace(plain, nics=(Nic(user=True, forwards=(forward,)),))))
    assert not told or "Invalid value for attribute 'type' in element 'backend'" in told
    assert "schema" in anna.defining(machine_xml(plain).replace("<devices>", "<devices><nothing/>"))
    anna.virsh("undefine", name, check=False)


def test_her_machines_are_meant_unless_she_says_otherwise(anna: Person, idle: str, mine: str) -> None:
    """The group libvirt, here everybody, changes nothing: libvirt.conf does, and the environment, as for virsh."""
    names = {each["name"] for each in anna.json("vm", "list")}
    assert names == {mine}
    assert "LIBVIRT_DEFAULT_URI=qemu:///system virtkit vm list" in refused(anna, "vm", "show", idle)
    assert idle in anna.virtkit("vm", "list", uri=ROOTS).stdout
    configuration = anna.home / ".config/libvirt/libvirt.conf"
    configuration.write_text('# mine\nuri_default = "qemu:///system"\n')
    try:
        assert idle in anna.virtkit("vm", "list").stdout
        assert idle in anna.run("virsh", "list", "--all").stdout
    finally:
        configuration.unlink()
    again = anna.virtkit("vm", "log", mine, check=False, uri="qemu+unix:///session")
    assert "never started here" in again.stderr


def test_what_is_roots_is_refused_before_anything_is_touched(anna: Person, kvm: Host, name: str, mine: str) -> None:
    kvm.define(machine_xml(hosts.idle(name, kvm.disk(f"{name}.qcow2"))))
    assert "you may not write to /etc" in refused(anna, "vm", "create", "other", *EMPTY, "--disk", "/etc/other.raw")
    assert "sudo virtkit vm backup" in refused(anna, "vm", "backup", name, "/home/anna/b", uri=ROOTS)
    (kvm.images / f"{name}.qcow2").unlink()
    told = refused(
        anna, "vm", "create", "other", *EMPTY, "--no-network", "--disk", "/home/anna/o.raw", "--start", uri=ROOTS
    )
    assert "may not pass /home/anna" in told
    assert "you may not write to /root/b" in refused(anna, "vm", "backup", mine, "/root/b", "--pull")
    assert "network default is root's" in refused(anna, "vm", "create", "other", *EMPTY, "--network", "default")
    assert "network default is root's" in refused(anna, "vm", "hotplug", mine, "nic", "--network", "default", "-y")
    assert "a file below your home" in refused(anna, "vm", "set", mine, "serial", "--log", "/var/log/mine.log", "-y")
    kvm.run("ip", "link", "add", "br7", "type", "bridge")
    assert "sudo chmod u+s" in refused(anna, "vm", "set", mine, "nic", "--bridge", "br7", "-y")
    kvm.run("ip", "link", "del", "br7")


def test_the_host_is_roots_and_the_same_command_is_named(anna: Person) -> None:
    bridge = ("net", "bridge", "create", "br7", "--port", "eth0")
    assert "sudo virtkit net bridge create br7 --port eth0" in refused(anna, *bridge)
    planned = anna.virtkit(*bridge, "--plan", check=False)
    assert "note: needs root: sudo virtkit net bridge create br7 --port eth0\n" in planned.stdout
    assert "sudo virtkit host set vm.overcommit_memory=2" in refused(
        anna, "host", "set", "vm.overcommit_memory=2", "-y"
    )
    assert "LVM answers root alone" in refused(anna, "disk", "lvm", "list")
    assert not [change for change in anna.json("history") if "br7" in change["title"]]


def test_a_file_says_what_a_machine_is_and_her_own_images_have_its_disk(anna: Person) -> None:
    anna.run("qemu-img", "create", "-q", "-f", "qcow2", "/home/anna/base.qcow2", "1M")
    image = "{source: base.qcow2, format: qcow2}"
    described = f"version: 1\nmachines:\n  told: {{image: {image}, cpus: 1, memory: 64M, accelerator: tcg}}\n"
    (anna.home / "told.yaml").write_text(described)
    assert f"{IMAGES}/told.qcow2" in anna.virtkit("plan", "told.yaml", check=False).stdout
