"""Machines that go to another host, and those that cannot: two real libvirts, real guests."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from guest.machines import eventually
from virtkit import vm
from virtkit.core import engine
from virtkit.core.errors import NotSupportedError, RolledBackError, UndoIncompleteError
from virtkit.core.progress import Advanced, Started, silent
from virtkit.core.system import System
from virtkit.core.units import MIB
from virtkit.vm.blueprint import machine_xml
from vmhost import hosts
from vmhost.hosts import IMAGES, SHARED

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.progress import Event, Sink
    from vmhost.hosts import Host, Lan

pytestmark = pytest.mark.netns

NAME = "traveller"
LOCAL, COMMON = f"{IMAGES}/{NAME}.qcow2", f"{SHARED}/{NAME}.qcow2"
MARK = "echo here >/run/mark; yes virtkit | dd of=/dev/{disk} bs=1M count=3 iflag=fullblock conv=fsync 2>/dev/null"
NBD = """\
<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none'/>
<source protocol='nbd' name='d0'><host name='kvm3' port='10809'/></source><target dev='vda' bus='virtio'/></disk>
"""
COUNT = "md5sum </dev/vda; md5sum </dev/vdb; cat /run/mark"


@pytest.fixture
def traveller(kvms: tuple[Host, Host]) -> str:
    """A guest on the first host: vda on storage of its own, vdb on what both share; marks in memory and on both."""
    home, away = kvms
    if not home.answers(NAME):
        for host in kvms:
            host.remove(NAME)
        home.boot(hosts.blueprint(NAME, home.disk(LOCAL), home.disk(COMMON)))
        for disk in ("vda", "vdb"):
            home.shell(NAME, MARK.format(disk=disk))
    away.remove(NAME)
    (away.images / f"{NAME}.qcow2").unlink(missing_ok=True)
    return NAME


@pytest.fixture
def speaking_from(kvms: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", kvms[0].uri)


def travel(lan: Lan, report: Sink, bandwidth: int = MIB) -> int:
    """To the second host, in this process; at 1 MiB/s there is time for what happens on the way."""
    home, away = lan.host(1), lan.host(2)
    plan = vm.migrate(NAME, away.uri, copy=("vda",), unsafe=True, bandwidth=bandwidth)
    return engine.run(plan, System(), home.journal, report)


def once_it_moves(do: Callable[[], None]) -> Sink:
    return at_first(lambda event: isinstance(event, Advanced), do)


def before_it_moves(do: Callable[[], None]) -> Sink:
    return at_first(lambda event: isinstance(event, Started) and event.step.startswith("machine "), do)


def at_first(meant: Callable[[Event], bool], do: Callable[[], None]) -> Sink:
    done = False

    def sink(event: Event) -> None:
        nonlocal done
        if meant(event) and not done:
            done = True
            do()

    return sink


def fill(host: Host) -> None:
    host.run("dd", "if=/dev/zero", f"of={IMAGES}/filler", "bs=64k", check=False)


def unharmed(home: Host, before: str) -> None:
    assert home.virsh("domstate", NAME) == "running"
    assert home.shell(NAME, COUNT) == before


def test_a_running_guest_moves_with_its_memory_and_its_disks_and_undo_brings_it_back(
    kvms: tuple[Host, Host], traveller: str
) -> None:
    home, away = kvms
    before = home.shell(traveller, COUNT)
    home.virsh("autostart", traveller)
    words = ("vm", "migrate", traveller, away.tcp, "--copy-storage", "vda", "--unsafe", "-y", "--output", "json")
    told = json.loads(home.virtkit(*words).stdout)
    assert (traveller in home.machines(), traveller in away.machines()) == (False, True)
    assert away.shell(traveller, COUNT) == before
    assert "enable" in away.virsh("dominfo", traveller).partition("Autostart:")[2].split()[0]
    assert 0 < told["journey"]["downtime"] < told["journey"]["total"]
    assert away.virsh("pool-list", "--all", "--name") == home.virsh("pool-list", "--all", "--name") == ""
    away.shell(traveller, "echo further >>/run/mark")
    (home.images / f"{NAME}.qcow2").unlink()  # nobody needs it there any more, until it comes back
    home.virtkit("undo", "-y")
    assert (traveller in home.machines(), traveller in away.machines()) == (True, False)
    assert home.shell(traveller, COUNT) == before + "further\n"
    assert (away.images / f"{NAME}.qcow2").exists(), "a disk that a guest wrote is deleted when asked for"


def test_shared_storage_is_proven_before_it_is_trusted(kvms: tuple[Host, Host], name: str) -> None:
    home, away = kvms
    home.define(machine_xml(hosts.idle(name, home.disk(f"{SHARED}/{name}.qcow2"))))
    home.virsh("start", name)
    refused = home.virtkit("vm", "migrate", name, away.tcp, "--plan", check=False)
    assert "expected storage that both hosts share" in refused.stderr
    home.virtkit("vm", "migrate", name, away.tcp, "--unsafe", "-y")
    assert away.virsh("domstate", name) == "running"
    away.virtkit("vm", "migrate", name, home.tcp, "--unsafe", "--max-downtime", "500", "--auto-converge", "-y")
    assert home.virsh("domstate", name) == "running"
    assert not list((home.shared).glob(".virtkit*"))


def test_files_of_the_same_name_on_two_hosts_are_no_shared_storage(kvms: tuple[Host, Host], name: str) -> None:
    home, away = kvms
    for host in kvms:
        host.disk(f"{name}.qcow2")
    home.define(machine_xml(hosts.idle(name, home.disk(f"{name}.qcow2"))))
    home.virsh("start", name)
    failed = home.virtkit("vm", "migrate", name, away.tcp, "--unsafe", "-y", check=False)
    assert failed.returncode == 4
    assert "is storage of its own" in failed.stderr
    assert "--copy-storage-all instead" in failed.stderr
    assert (home.virsh("domstate", name), name in away.machines()) == ("running", False)


def test_a_shared_disk_is_never_copied_onto_itself(kvms: tuple[Host, Host], name: str) -> None:
    home, away = kvms
    home.define(machine_xml(hosts.idle(name, home.disk(f"{SHARED}/{name}.qcow2"))))
    home.virsh("start", name)
    failed = home.virtkit("vm", "migrate", name, away.tcp, "--copy-storage-all", "--overwrite", "-y", check=False)
    assert "is the same storage" in failed.stderr
    assert "--unsafe instead" in failed.stderr
    assert (home.virsh("domstate", name), name in away.machines()) == ("running", False)


def test_a_network_disk_is_shared_by_its_nature(lan: Lan, kvms: tuple[Host, Host], name: str) -> None:
    home, away = kvms
    store = lan.host(3)
    store.run("qemu-img", "create", "-q", "-f", "raw", f"{IMAGES}/d0", "16M")
    store.run("qemu-nbd", "--fork", "-t", "-e", "4", "-f", "raw", "-x", "d0", f"{IMAGES}/d0")
    home.define(machine_xml(hosts.idle(name)).replace("</devices>", f"{NBD}</devices>"))
    home.virsh("start", name)
    home.virtkit("vm", "migrate", name, away.tcp, "-y")
    assert (name in home.machines(), away.virsh("domstate", name)) == (False, "running")
    away.remove(name)


def test_a_definition_moves_while_the_machine_is_off(kvms: tuple[Host, Host], name: str) -> None:
    home, away = kvms
    home.define(machine_xml(hosts.idle(name)))
    uuid = home.virsh("domuuid", name)
    home.virtkit("vm", "migrate", name, away.tcp, "--offline", "-y")
    assert (name in home.machines(), away.virsh("domuuid", name), away.virsh("domstate", name)) == (
        False,
        uuid,
        "shut off",
    )
    home.virtkit("undo", "-y")
    assert (home.virsh("domuuid", name), name in away.machines()) == (uuid, False)


@pytest.mark.parametrize("signal", ["INT", "KILL"])
def test_broken_off_the_guest_runs_on_and_nothing_is_left_over_there(
    kvms: tuple[Host, Host], traveller: str, signal: str
) -> None:
    home, away = kvms
    before = home.shell(traveller, COUNT)
    words = ("vm", "migrate", traveller, away.tcp, "--copy-storage", "vda", "--unsafe", "--bandwidth", "1M", "-y")
    moving = home.start(sys.executable, "-m", "virtkit", *words)
    assert eventually(lambda: "migration" in home.virsh("domjobinfo", traveller))
    home.run("pkill", f"-{signal}", "-f", "virtkit vm migrate")
    moving.communicate()
    if signal == "KILL":
        home.virtkit("undo", "-y")
    unharmed(home, before)
    assert eventually(lambda: not away.machines())
    assert not (away.images / f"{NAME}.qcow2").exists()
    again = home.virtkit(
        "vm", "migrate", traveller, away.tcp, "--copy-storage", "vda", "--unsafe", "--plan", check=False
    )
    assert again.returncode == 3, again.stderr


def test_the_other_host_dies_on_the_way_and_the_guest_runs_on(lan: Lan, traveller: str, speaking_from: None) -> None:
    home, away = lan.host(1), lan.host(2)
    before = home.shell(traveller, COUNT)
    with pytest.raises(UndoIncompleteError, match="does not answer any more"):
        travel(lan, once_it_moves(lambda: lan.lose(away)))
    unharmed(home, before)
    assert lan.host(2).machines() == []


def test_a_disk_that_fills_up_over_there_ends_the_journey(lan: Lan, traveller: str, speaking_from: None) -> None:
    home, away = lan.host(1), lan.host(2)
    before = home.shell(traveller, COUNT)
    away.run("mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", IMAGES)
    try:
        with pytest.raises(RolledBackError) as caught:
            travel(lan, before_it_moves(lambda: fill(away)), bandwidth=0)
        assert "No space left on device" in caught.value.message
        assert "everything was put back" in caught.value.message
        unharmed(home, before)
        assert away.machines() == []
        fill(away)
        with pytest.raises(NotSupportedError, match=r"free in /var/lib/libvirt/images, expected"):
            travel(lan, silent)
    finally:
        away.run("umount", IMAGES)
