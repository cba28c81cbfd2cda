"""The life of a bridge: further ports, bridges that others made, STP, machines on it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from netns import echo, picture
from netns.lab import GATEWAY4, GATEWAY6, HOST4, HOST6, HOST_MAC, settle

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
SECOND = "link add eth1 type veth peer name lan1\nlink set lan1 up"
QEMU = "qemu-system-x86_64 -M none -nodefaults -display none -name guest=web,debug-threads=on -netdev"


def _refused(lab: Lab, *words: str) -> str:
    before = _standing(lab)
    done = lab.virtkit(*words, "-y", check=False)
    assert done.returncode in (1, 2), done
    assert _standing(lab) == before
    return done.stderr


def _standing(lab: Lab) -> list[tuple[str, object]]:
    """Without what goes on by itself: carriers, the links' own IPv6 addresses."""
    links = [(link["ifname"], link.get("master"), link["address"], link["mtu"]) for link in lab.json("link")]
    return [(name, (rest, picture.held(lab, name))) for name, *rest in links]


def _ports(lab: Lab, bridge: str) -> set[str]:
    return {link["ifname"] for link in lab.json("link", "show", "master", bridge)}


def test_port_joins_and_leaves_and_comes_back_by_undo(lab: Lab) -> None:
    lab.ip(SECOND)
    lab.virtkit(*CREATE)
    settle(lab)
    done = lab.virtkit("net", "bridge", "port", "add", "br0", "eth1", "-y")
    assert "nothing to change" in lab.virtkit("net", "bridge", "port", "add", "br0", "eth1", "-y").stdout, done
    assert _ports(lab, "br0") == {"eth0", "eth1"}
    assert "expected eth1" not in _refused(lab, "net", "bridge", "delete", "br0")
    lab.virtkit("undo", "-y")
    assert _ports(lab, "br0") == {"eth0"}
    assert "UP" not in lab.json("link", "show", "eth1")[0]["flags"]
    lab.virtkit("net", "bridge", "port", "add", "br0", "eth1", "-y")
    lab.virtkit("net", "bridge", "port", "remove", "br0", "eth1", "-y")
    assert _ports(lab, "br0") == {"eth0"}
    lab.virtkit("undo", "-y")
    assert _ports(lab, "br0") == {"eth0", "eth1"}


def test_port_that_holds_addresses_is_offered_the_move(lab: Lab) -> None:
    settle(lab)
    assert "br0: no such bridge" in _refused(lab, "net", "bridge", "port", "add", "br0", "eth0", "--move")
    lab.virtkit("net", "bridge", "create", "br0", "-y")
    said = _refused(lab, "net", "bridge", "port", "add", "br0", "eth0")
    assert f"eth0: holds {HOST4}/24" in said
    assert "virtkit net bridge port add br0 eth0 --move" in said
    held = picture.held(lab, "eth0")
    lab.virtkit("net", "bridge", "port", "add", "br0", "eth0", "--move", "-y")
    assert picture.held(lab, "br0") == held
    assert lab.json("link", "show", "br0")[0]["address"] == HOST_MAC


def test_only_way_out_is_not_removed(lab: Lab) -> None:
    lab.virtkit(*CREATE)
    settle(lab)
    said = _refused(lab, "net", "bridge", "port", "remove", "br0", "eth0")
    assert "only way out of br0" in said
    assert "virtkit net bridge delete br0" in said
    assert "is no port of br0, its ports are eth0" in _refused(lab, "net", "bridge", "port", "remove", "br0", "lo")


def test_bridge_of_others_with_machines_on_it_is_taken_and_given_back_whole(lab: Lab) -> None:
    lab.ip("link add br5 address 02:00:00:00:00:05 type bridge ageing_time 12000\nlink set br5 mtu 1400 up")
    lab.ip("link set br5 down")
    lab.ip("tuntap add tap9 mode tap\nlink set tap9 mtu 1400 master br5 up")
    settle(lab)
    before, held = picture.everything(lab), picture.held(lab, "eth0")
    lab.virtkit("net", "bridge", "create", "br5", "--port", "eth0", "-y")
    (bridge,) = lab.json("link", "show", "br5")
    assert (bridge["address"], bridge["mtu"], bridge.get("ifalias")) == (HOST_MAC, 1500, None)
    assert bridge["linkinfo"]["info_data"]["ageing_time"] == 12000
    assert picture.held(lab, "br5") == held
    assert _ports(lab, "br5") == {"eth0", "tap9"}
    assert "was not made by virtkit" in _refused(lab, "net", "bridge", "delete", "br5")
    lab.virtkit("undo", "-y")
    assert picture.everything(lab) == before


@pytest.mark.parametrize(
    ("preparing", "said"),
    [
        (
            "link add br5 type bridge\naddr add 192.168.122.1/24 dev br5\nlink set br5 up",
            "holds 192.168.122.1/24 of its",
        ),
        (f"{SECOND}\nlink add br5 type bridge\nlink set eth1 master br5", "may close a loop without STP"),
        ("link add br5 type veth peer name br6", "is veth already"),
    ],
)
def test_bridge_that_has_a_purpose_is_refused(lab: Lab, preparing: str, said: str) -> None:
    lab.ip(preparing)
    if "eth1" in preparing:
        lab.ip("link set eth1 address 02:00:00:00:00:77")
        lab.ip("link set br5 address 02:00:00:00:00:77")
    settle(lab)
    assert said in _refused(lab, "net", "bridge", "create", "br5", "--port", "eth0")


def test_bridge_of_libvirts_network_is_named_and_left_alone(lab: Lab) -> None:
    place = lab.root / "etc/libvirt/qemu/networks/lab.xml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("<network><name>lab</name><bridge name='br5' stp='on'/></network>\n")
    lab.ip("link add br5 type bridge")
    settle(lab)
    assert "belongs to libvirt's network lab" in _refused(lab, "net", "bridge", "create", "br5", "--port", "eth0")


def test_stp_of_an_adopted_bridge_costs_what_the_plan_says(lab: Lab) -> None:
    """Two forward delays of 2 s, the least that the kernel takes; 30 s with its default."""
    lab.ip("link add br5 type bridge stp_state 1 forward_delay 200")
    settle(lab)
    plan = lab.virtkit("net", "bridge", "create", "br5", "--port", "eth0", "--plan", check=False).stdout
    assert "STP is on at br5: eth0 passes nothing for 4 s (2 s listening, 2 s learning)" in plan
    assert "4 s of silence are no loss" in plan
    begin = time.monotonic()
    lab.virtkit("net", "bridge", "create", "br5", "--port", "eth0", "-y", "--auto-confirm")
    assert 4 < time.monotonic() - begin < 20
    lab.run("ping", "-c", "1", "-w", "1", HOST4, inside=lab.gateway)


def test_stp_that_is_asked_for_starts_without_a_silence(lab: Lab) -> None:
    settle(lab)
    inward = echo.start(lab, lab.gateway, [HOST4, HOST6], 1000)
    outward = echo.start(lab, lab.host, [GATEWAY4, GATEWAY6], 1000)
    lab.virtkit(*CREATE, "--stp")
    time.sleep(2.5)
    tallies = [*echo.finish(inward), *echo.finish(outward)]
    assert [tally.lost for tally in tallies] == [0, 0, 0, 0], tallies
    (bridge,) = lab.json("link", "show", "br0")
    assert bridge["linkinfo"]["info_data"]["stp_state"] == 1
    lab.virtkit("undo", "-y")
    assert {link["ifname"] for link in lab.json("link")} == {"lo", "eth0"}


def test_bridge_keeps_its_mac_and_mtu_whatever_joins_and_leaves(lab: Lab) -> None:
    lab.ip("link set lan0 mtu 9000", inside=lab.gateway)
    lab.ip("link set eth0 mtu 9000")
    lab.virtkit(*CREATE)
    for number in range(3):
        lab.ip(f"tuntap add tap{number} mode tap")
        lab.ip(f"link set tap{number} address 02:00:00:00:00:0{number} mtu 1500 master br0 up")
        (bridge,) = lab.json("link", "show", "br0")
        assert (bridge["address"], bridge["mtu"]) == (HOST_MAC, 9000)
    lab.ip("link delete tap0")
    (bridge,) = lab.json("link", "show", "br0")
    assert (bridge["address"], bridge["mtu"]) == (HOST_MAC, 9000)


def test_delete_and_undo_name_the_machine_that_would_lose_the_network(lab: Lab) -> None:
    """A day later: the change is committed, and a machine is on the bridge."""
    settle(lab)
    lab.virtkit(*CREATE)
    machine = lab.start(*QEMU.split(), "tap,id=n0,ifname=vnet7,script=no,downscript=no")
    try:
        while not any(link["ifname"] == "vnet7" for link in lab.json("link")):
            assert machine.poll() is None, machine.communicate()
            time.sleep(0.05)
        lab.ip("link set vnet7 master br0 up")
        settle(lab)
        for words in (("net", "bridge", "delete", "br0"), ("undo",)):
            said = _refused(lab, *words)
            assert "vnet7 (machine web)" in said, said
            assert "virtkit vm attach" in said
        assert "vnet7 (machine web) would lose" in _refused(lab, "net", "bridge", "port", "remove", "br0", "vnet7")
    finally:
        machine.kill()
        machine.communicate()
    lab.virtkit("undo", "-y")
    assert {link["ifname"] for link in lab.json("link")} == {"lo", "eth0"}


def test_move_is_whole_while_others_hold_the_kernels_network_lock(lab: Lab) -> None:
    """RTNL is one lock for all namespaces of a machine; who makes and deletes namespaces holds it, over and over."""
    settle(lab)
    before = picture.everything(lab)
    name = f"vkhog{os.getpid()}"
    hog = f"while :; do ip netns add {name}; ip -n {name} link set lo up; ip netns delete {name}; done"
    running = lab.start("bash", "-c", hog, inside=lab.gateway)
    try:
        lab.virtkit(*CREATE)
        held = picture.held(lab, "eth0")
        assert held == {"addresses": [], "routes": []}
        lab.virtkit("undo", "-y")
    finally:
        running.kill()
        running.communicate()
        lab.run("ip", "netns", "delete", name, check=False, inside=lab.gateway)
    settle(lab)
    assert picture.everything(lab) == before
