"""A running guest's card goes to another network and back; its addresses, by each source that knows them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import pytest

from guest import machines
from guest.machines import Lan
from virtkit import vm
from virtkit.core import engine
from virtkit.core.errors import NotFoundError, NotSupportedError, RolledBackError, UsageError, VerifyError
from virtkit.core.system import System
from virtkit.vm import connection, nics
from virtkit.vm.actions import Attach
from virtkit.vm.blueprint import derived_mac
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from virtkit.core.journal import Journal

pytestmark = pytest.mark.guest


def sources(name: str) -> tuple[str, str]:
    """Of the only card: now and after the next start, by virsh."""
    now, later = (Domain.parse(machines.virsh("dumpxml", name, *flag)) for flag in ((), ("--inactive",)))
    return now.nics[0].source, later.nics[0].source


def members(bridge: str) -> list[str]:
    return os.listdir(f"/sys/class/net/{bridge}/brif")


def in_network(name: str, lan: Lan) -> bool:
    return any(address.address.startswith(f"{lan.network}.") for address in vm.ip(name) if address.source == "agent")


def test_the_card_moves_while_the_guest_runs_and_undo_moves_it_back(
    guest: str, lans: tuple[Lan, Lan], journal: Journal
) -> None:
    here, there = lans
    assert machines.eventually(lambda: in_network(guest, here))
    number_before = machines.virsh("domid", guest)
    number = machines.carry_out(vm.attach(guest, there.bridge), journal)
    assert sources(guest) == (there.bridge, there.bridge)
    assert (len(members(here.bridge)), len(members(there.bridge))) == (0, 1)
    assert machines.eventually(lambda: in_network(guest, there)), "the guest did not ask DHCP again"
    assert not vm.attach(guest, there.bridge)
    engine.undo(journal, number, System())
    assert sources(guest) == (here.bridge, here.bridge)
    assert (len(members(here.bridge)), len(members(there.bridge))) == (1, 0)
    assert machines.eventually(lambda: in_network(guest, here)), "the guest did not ask DHCP again"
    assert machines.virsh("domid", guest) == number_before


def test_verified_the_move_tells_the_new_address_and_pings_in_both_directions(
    guest: str, lans: tuple[Lan, Lan], journal: Journal
) -> None:
    here, there = lans
    told: list[str] = []
    plan = vm.attach(guest, there.bridge, verify=True)
    number = engine.run(plan, System(), journal, lambda event: told.append(str(event)))
    text = "\n".join(told)
    assert f"{there.network}." in text
    assert "'3 of 3 pings answered'" in text
    assert f"pings answered by {there.network}.1" in text
    engine.undo(journal, number, System())
    assert machines.eventually(lambda: in_network(guest, here))


def test_verified_a_move_to_a_lan_without_dhcp_is_put_back(guest: str, lans: tuple[Lan, Lan], journal: Journal) -> None:
    """The bridge is there, and nothing answers on it."""
    deaf = f"vkt{os.getpid() % 100000}c"
    machines.run("ip", "link", "add", deaf, "type", "bridge")
    try:
        machines.run("ip", "address", "add", "10.213.79.1/24", "dev", deaf)
        machines.run("ip", "link", "set", deaf, "up")
        with pytest.raises(RolledBackError, match="everything was put back") as caught:
            machines.carry_out(vm.attach(guest, deaf, verify=True, seconds=3), journal)
        assert caught.value.hint == "virtkit net doctor"
        assert sources(guest) == (lans[0].bridge, lans[0].bridge)
        assert machines.eventually(lambda: in_network(guest, lans[0]))
    finally:
        machines.run("ip", "link", "delete", deaf)


def test_a_tap_that_somebody_took_out_of_the_bridge_is_noticed(guest: str, lans: tuple[Lan, Lan]) -> None:
    (tap,) = members(lans[0].bridge)
    machines.run("ip", "link", "set", tap, "nomaster")
    try:
        with connection.open() as libvirt, pytest.raises(VerifyError, match=f"tap {tap} is in no bridge"):
            nics.verify(libvirt.named(guest), derived_mac(guest), nics.Place("bridge", lans[0].bridge), System())
    finally:
        machines.run("ip", "link", "set", tap, "master", lans[0].bridge)


def test_a_link_that_is_down_on_purpose_stays_down(guest: str, lans: tuple[Lan, Lan], journal: Journal) -> None:
    mac = derived_mac(guest)
    machines.virsh("domif-setlink", guest, mac, "down")
    try:
        number = machines.carry_out(vm.attach(guest, lans[1].bridge), journal)
        assert machines.virsh("domif-getlink", guest, mac).endswith("down")
        engine.undo(journal, number, System())
        assert sources(guest) == (lans[0].bridge, lans[0].bridge)
    finally:
        machines.virsh("domif-setlink", guest, mac, "up")


def test_a_change_killed_while_the_link_was_down_is_put_back_with_its_link_up(
    guest: str, lans: tuple[Lan, Lan], journal: Journal
) -> None:
    mac = derived_mac(guest)
    action = Attach(guest, mac, lans[1].bridge)
    with journal.begin(vm.attach(guest, lans[1].bridge)) as log:
        log.write("before", step=0, state=action.capture(System()))
        with connection.open() as libvirt:
            nics.move_all(libvirt.named(guest), mac, action.target, action.target)
            nics.set_link(libvirt.named(guest), mac, "down")
        number = log.change.number
    engine.undo(journal, number, System())
    assert sources(guest) == (lans[0].bridge, lans[0].bridge)
    assert machines.virsh("domif-getlink", guest, mac).endswith("up")


def test_a_network_of_libvirts_is_a_place_too(guest: str, lans: tuple[Lan, Lan], journal: Journal) -> None:
    here, there = lans
    name = machines.unique("network")
    with NamedTemporaryFile("w", suffix=".xml") as xml:
        xml.write(f"<network><name>{name}</name><forward mode='bridge'/><bridge name='{there.bridge}'/></network>")
        xml.flush()
        machines.virsh("net-create", xml.name)
    try:
        number = machines.carry_out(vm.attach(guest, network=name), journal)
        assert (len(members(there.bridge)), sources(guest)[1]) == (1, name)
        engine.undo(journal, number, System())
        assert sources(guest) == (here.bridge, here.bridge)
    finally:
        machines.virsh("net-destroy", name)
    with pytest.raises(NotFoundError, match="no such network at"):
        vm.attach(guest, network=name)


def test_verified_on_a_bridge_where_this_host_has_no_address_the_guest_asks_its_gateway(
    guest: str, lans: tuple[Lan, Lan], journal: Journal, far: Lan
) -> None:
    told: list[str] = []
    number = engine.run(vm.attach(guest, far.bridge, verify=True), System(), journal, lambda e: told.append(str(e)))
    text = "\n".join(told)
    assert "not tried: this host has no address there" in text
    assert f"3 of 3 pings answered by {far.network}.1" in text
    engine.undo(journal, number, System())
    assert machines.eventually(lambda: in_network(guest, lans[0]))


def test_what_could_not_be_proven_is_refused_before_the_card_moves(idle: str, far: Lan) -> None:
    machines.define(machines.virsh("dumpxml", idle).replace("</devices>", f"{bridged(far.bridge)}</devices>"))
    with pytest.raises(UsageError, match="is off, expected running"):
        vm.attach(idle, far.bridge, verify=True)
    machines.virsh("start", idle)
    with pytest.raises(NotSupportedError, match="nothing could ping from or to it"):
        vm.attach(idle, far.bridge, verify=True)


@pytest.fixture
def far(tmp_path: Path, libvirtd: None) -> Iterator[Lan]:
    """A bridge without an address of this host's; its router, with DHCP, is at the other end of a cable."""
    lan, router = Lan(f"vkt{os.getpid() % 100000}d", "10.213.80"), machines.unique("router")
    machines.run("ip", "netns", "add", router)
    try:
        server = machines.make_far_lan(lan, router, tmp_path)
        yield lan
        server.terminate()
        server.wait()
    finally:
        machines.quietly("ip", "netns", "delete", router)
        machines.quietly("ip", "link", "delete", lan.bridge)


def bridged(bridge: str) -> str:
    return f"<interface type='bridge'><source bridge='{bridge}'/><model type='virtio'/></interface>"


def test_what_is_not_there_is_said_before_anything_is_touched(guest: str, idle: str, lans: tuple[Lan, Lan]) -> None:
    with pytest.raises(NotFoundError, match="no such bridge") as caught:
        vm.attach(guest, "vkt-none")
    assert caught.value.hint.startswith("virtkit net bridge create vkt-none")
    with pytest.raises(NotFoundError, match=f"expected one of: {derived_mac(guest)}"):
        vm.attach(guest, lans[1].bridge, mac="52:54:00:00:00:99")
    with pytest.raises(NotFoundError, match="has no network card"):
        vm.attach(idle, lans[1].bridge)


def test_a_card_without_a_tap_is_not_moved(idle: str, lans: tuple[Lan, Lan]) -> None:
    nic = "<interface type='user'><model type='virtio'/></interface>"
    machines.define(machines.virsh("dumpxml", idle).replace("</devices>", f"{nic}</devices>"))
    with pytest.raises(NotSupportedError, match="is of type user, expected bridge or network"):
        vm.attach(idle, lans[1].bridge)


def test_an_agent_that_hangs_is_passed_over_and_the_neighbour_table_asked(guest: str, lans: tuple[Lan, Lan]) -> None:
    assert machines.eventually(lambda: in_network(guest, lans[0]))
    known = {address.address for address in vm.ip(guest)}
    type_in(guest, "kill -STOP $(pidof qemu-ga)")
    try:
        machines.run("ip", "neighbour", "flush", "dev", lans[0].bridge)
        began = time.monotonic()
        found = vm.ip(guest)
        assert {(address.address, address.source) for address in found} == {(known.pop(), "arp")}
        assert time.monotonic() - began < 20
    finally:
        type_in(guest, "kill -CONT $(pidof qemu-ga)")
    vm.wait_for_agent(guest, 20)


def type_in(name: str, line: str) -> str:
    """On the serial console, as a user does from a script."""
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-m", "virtkit", "vm", "console", name, "--seconds", "2"],
        input=f"\n{line}\n",
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    return done.stdout
