"""VLANs and bonds below and above a bridge, under the distribution's kernel, which has them."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from guest import workshop
from support.qemu import Machine
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.qemu import Agent

pytestmark = [pytest.mark.netns, pytest.mark.timeout(400)]

# busybox's shell takes its own before what stands in PATH.
REAL = """
. /lib/workshop
cd /run
ip() { /bin/ip "$@"; }
ping() { /bin/ping "$@"; }
"""
# A LAN in a namespace of the guest: eth0, and eth1 for bonds, lead there; untagged 10.9.0.1, VLAN 100 10.9.100.1.
LAN = """
sh /lib/drivers
unshare -n sh -c 'echo $$ >/run/lan.pid; exec sleep 100000' >/dev/null 2>&1 </dev/null &
until [ -s /run/lan.pid ]; do sleep 0.1; done
lan=$(cat /run/lan.pid)
there() { nsenter -t "$lan" -n "/bin/$@"; }
for number in 0 1; do
    ip link add eth$number type veth peer name lan$number
    ip link set lan$number netns "$lan"
    ip link set eth$number up
    there ip link set lan$number up
done
there ip link add lan type bridge
there ip link set lan up
there ip link set lan0 master lan
there ip link set lan1 master lan
there ip addr add 10.9.0.1/24 dev lan
there ip link add link lan name lan.100 type vlan id 100
there ip addr add 10.9.100.1/24 dev lan.100
there ip link set lan.100 up
"""
PING = "ping -q -i 0.05 -c 200 -w 60"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("needs qemu-system-x86_64")
    place = tmp_path_factory.mktemp("stacks")
    try:
        kernel, initramfs = workshop.build(place, workshop.NETWORK)
    except NotSupportedError as error:
        pytest.skip(error.message)
    boot = ("-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet net.ifnames=0")
    with Machine(place, ["-m", "512", "-nic", "none", *boot]) as machine:
        found = machine.agent()
        found.shell(REAL + LAN)
        yield found


def shell(agent: Agent, script: str) -> str:
    return agent.shell(f"{REAL}({script}) 2>&1 || echo status $?")


def held(agent: Agent, link: str) -> list[str]:
    """Its IPv4 addresses, as ip(8) sees them."""
    found = json.loads(shell(agent, f"ip -json -4 addr show dev {link}"))
    return [f"{entry['local']}/{entry['prefixlen']}" for shown in found for entry in shown.get("addr_info", [])]


def moved(agent: Agent, target: str, words: str) -> tuple[str, int]:
    """What ``virtkit net ...`` says while ``target`` is pinged twenty times a second, and how many were lost."""
    script = f"{PING} {target} >/run/pings & sleep 1; python3 -m virtkit net {words}; wait $!"
    said = shell(agent, script)
    counts = re.search(r"(\d+) packets transmitted, (\d+) received", shell(agent, "cat /run/pings"))
    assert counts, said
    return said, int(counts[1]) - int(counts[2])


def test_a_bridge_over_a_vlan_carries_its_address_and_loses_nothing(agent: Agent) -> None:
    shell(agent, "ip link add link eth0 name eth0.100 type vlan id 100; ip addr add 10.9.100.11/24 dev eth0.100")
    shell(agent, "ip link set eth0.100 up; ping -c 1 10.9.100.1")
    said, lost = moved(agent, "10.9.100.1", "bridge create br100 --port eth0.100 -y --auto-confirm")
    assert "done (change" in said
    assert (held(agent, "br100"), held(agent, "eth0.100")) == (["10.9.100.11/24"], [])
    assert lost <= 1
    said, lost = moved(agent, "10.9.100.1", "bridge delete br100 -y --auto-confirm")
    assert held(agent, "eth0.100") == ["10.9.100.11/24"], said
    assert lost <= 1  # the guest has no nftables to bridge the microseconds in which the kernel lets go of a port
    shell(agent, "ip link del eth0.100")


def test_a_bridge_over_a_bond_carries_its_address_and_loses_nothing(agent: Agent) -> None:
    shell(
        agent, "ip link add bond0 type bond mode active-backup miimon 100; ip link set eth0 down; ip link set eth1 down"
    )
    shell(agent, "ip link set eth0 master bond0; ip link set eth1 master bond0; ip link set bond0 up")
    shell(agent, "ip addr add 10.9.0.11/24 dev bond0; ping -c 3 -w 10 10.9.0.1")
    said, lost = moved(agent, "10.9.0.1", "bridge create br0 --port bond0 -y --auto-confirm")
    assert "done (change" in said
    assert (held(agent, "br0"), held(agent, "bond0")) == (["10.9.0.11/24"], [])
    assert lost <= 1
    refused = shell(agent, "python3 -m virtkit net bridge create br1 --port eth0 -y")
    assert "eth0: is a port of bond0 already" in refused
    shell(agent, "python3 -m virtkit undo -y")
    assert held(agent, "bond0") == ["10.9.0.11/24"]
    shell(agent, "ip link del bond0; ip link set eth0 up; ip link set eth1 up")


def test_vlans_on_the_port_and_on_top_of_the_bridge_work(agent: Agent) -> None:
    shell(agent, "ip addr add 10.9.0.11/24 dev eth0; ping -c 1 10.9.0.1")
    shell(agent, "ip link add link eth0 name eth0.100 type vlan id 100; ip addr add 10.9.100.12/24 dev eth0.100")
    shell(agent, "ip link set eth0.100 up; ping -c 1 10.9.100.1")
    said, lost = moved(agent, "10.9.100.1", "bridge create br0 --port eth0 -y --auto-confirm")
    assert (held(agent, "br0"), held(agent, "eth0.100")) == (["10.9.0.11/24"], ["10.9.100.12/24"]), said
    assert lost <= 1
    assert " 3 received" in shell(agent, "ping -q -c 3 -w 10 10.9.0.1")
    shell(agent, "ip link del eth0.100")
    shell(agent, "ip link add link br0 name br0.100 type vlan id 100; ip addr add 10.9.100.11/24 dev br0.100")
    shell(agent, "ip link set br0.100 up")
    assert " 3 received" in shell(agent, "ping -q -c 3 -w 10 10.9.100.1")
    shell(agent, "ip link del br0.100; python3 -m virtkit undo -y; ip addr del 10.9.0.11/24 dev eth0")
