"""A host's only link becomes a port of a bridge, and back: nothing is lost on the way, neither packets nor settings."""

from __future__ import annotations

import json
import socket
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netns import echo, picture
from netns.lab import GATEWAY4, GATEWAY6, HOST4, HOST6, HOST_MAC, settle
from virtkit.core import engine
from virtkit.core.errors import BusyError, RolledBackError
from virtkit.core.journal import Journal
from virtkit.core.system import System
from virtkit.net import plan_bridge, plan_delete_bridge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netns.lab import Lab
    from virtkit.core.plan import Plan

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
PER_SECOND = 2000  # pings, of each family in each direction


def test_everything_that_the_port_held_is_on_the_bridge(furnished: Lab) -> None:
    before = picture.held(furnished, "eth0")
    furnished.virtkit(*CREATE)
    assert picture.held(furnished, "br0") == before
    assert picture.held(furnished, "eth0") == {"addresses": [], "routes": []}
    (bridge,) = furnished.json("link", "show", "br0")
    assert (bridge["address"], bridge["ifalias"], bridge["linkinfo"]["info_data"]["stp_state"]) == (
        HOST_MAC,
        "virtkit",
        0,
    )
    assert {link["ifname"] for link in furnished.json("link")} == {"lo", "eth0", "br0"}


def test_undo_leaves_no_trace(furnished: Lab) -> None:
    before = picture.everything(furnished)
    furnished.virtkit(*CREATE)
    furnished.virtkit("undo", "-y")
    assert picture.everything(furnished) == before


def test_delete_leaves_no_trace_and_can_be_undone(furnished: Lab) -> None:
    before = picture.everything(furnished)
    furnished.virtkit(*CREATE)
    settle(furnished)
    bridged = picture.held(furnished, "br0")
    furnished.virtkit("net", "bridge", "delete", "br0", "-y")
    assert picture.everything(furnished) == before
    furnished.virtkit("undo", "-y")
    assert picture.held(furnished, "br0") == bridged
    assert picture.held(furnished, "eth0") == {"addresses": [], "routes": []}


def test_bridge_of_others_comes_back_as_it_was(lab: Lab) -> None:
    lab.ip("link add br5 type bridge stp_state 1 ageing_time 12000\nlink set br5 up\naddr add 10.55.0.1/24 dev br5")
    lab.ip("route add 10.56.0.0/16 via 10.55.0.2")
    kept = ("address", "mtu", "flags", "operstate")
    parameters = ("stp_state", "ageing_time", "forward_delay", "priority", "mcast_snooping")

    def shown() -> object:
        (link,) = lab.json("link", "show", "br5")
        data = link["linkinfo"]["info_data"]
        return [link[key] for key in kept], [data[key] for key in parameters], picture.held(lab, "br5")

    before = shown()
    refused = lab.virtkit("net", "bridge", "delete", "br5", "-y", check=False)
    assert (refused.returncode, "not made by virtkit" in refused.stderr) == (1, True)
    lab.virtkit("net", "bridge", "delete", "br5", "-y", "--force")
    assert "br5" not in {link["ifname"] for link in lab.json("link")}
    lab.virtkit("undo", "-y")
    assert shown() == before


def test_port_without_any_address_is_bridged_too(lab: Lab) -> None:
    lab.ip("link add lan type veth peer name lan-far\nlink set lan-far up")
    before = picture.everything(lab)
    lab.virtkit("net", "bridge", "create", "br0", "--port", "lan", "-y")
    (port,) = lab.json("link", "show", "lan")
    assert (port["master"], port["operstate"]) == ("br0", "UP")
    lab.virtkit("undo", "-y")
    settle(lab)
    after = picture.everything(lab)
    assert {link["ifname"] for link in after["addresses"]} == {link["ifname"] for link in before["addresses"]}
    assert "UP" not in next(link for link in after["addresses"] if link["ifname"] == "lan")["flags"]


def test_bridge_without_port_keeps_its_mac_when_machines_join(lab: Lab) -> None:
    lab.virtkit("net", "bridge", "create", "br0", "-y")
    (before,) = lab.json("link", "show", "br0")
    lab.ip("tuntap add tap9 mode tap\nlink set tap9 address 02:00:00:00:00:01 master br0 up")
    (after,) = lab.json("link", "show", "br0")
    assert before["address"] == after["address"] != "02:00:00:00:00:01"


def test_bridge_keeps_its_mtu_when_a_machine_with_a_smaller_one_joins(lab: Lab) -> None:
    lab.virtkit(*CREATE)
    lab.ip("tuntap add tap9 mode tap\nlink set tap9 mtu 1280 master br0 up")
    assert lab.json("link", "show", "br0")[0]["mtu"] == 1500


def test_second_time_changes_nothing(lab: Lab) -> None:
    lab.virtkit(*CREATE)
    assert "nothing to change" in lab.virtkit(*CREATE).stdout
    assert lab.virtkit(*CREATE[:-1], "--plan").returncode == 0


def test_plan_says_what_moves_and_changes_nothing(lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    session = f"SSH_CONNECTION={GATEWAY4} 50000 {HOST4} 22"
    shown = lab.run("env", session, *_virtkit(*CREATE[:-1], "--plan"), check=False)
    assert shown.returncode == 3
    for said in (HOST4, HOST6, "default route", f"SSH session from {GATEWAY4} goes over eth0", "next reboot"):
        assert said in shown.stdout
    assert picture.everything(lab) == before


def test_dhcp_client_on_the_port_is_named(lab: Lab) -> None:
    listening = (
        "import socket,time; s=socket.socket(17, 3, 768); s.bind(('eth0', 0)); print('up', flush=1); time.sleep(9)"
    )
    client = lab.start("python3", "-c", listening)
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == "up\n"
        plan = json.loads(lab.virtkit(*CREATE[:-1], "--plan", "--output", "json", check=False).stdout)
        assert any(f"python3 (pid {client.pid}) reads frames of eth0" in note for note in plan["notes"])
    finally:
        client.kill()
        client.communicate()


@pytest.mark.parametrize("way", ["create", "undo", "delete"])
def test_pings_go_on_and_tcp_lives(lab: Lab, way: str) -> None:
    """Both families and directions, 2000 a second each. The kernels answer: the load of this machine does not count."""
    settle(lab)
    if way != "create":
        lab.virtkit(*CREATE)
    verb = {"create": CREATE, "undo": ("undo", "-y"), "delete": ("net", "bridge", "delete", "br0", "-y")}[way]
    with _session(lab) as session:
        inward = echo.start(lab, lab.gateway, [HOST4, HOST6], PER_SECOND)
        outward = echo.start(lab, lab.host, [GATEWAY4, GATEWAY6], PER_SECOND)
        time.sleep(0.3)
        lab.virtkit(*verb)
        time.sleep(1.2)  # a carrier that is told of a second late would be seen
        session()
    tallies = [*echo.finish(inward), *echo.finish(outward)]
    assert [tally.lost for tally in tallies] == [0, 0, 0, 0], tallies


def test_addresses_and_connections_survive_the_gateways_forgetting(furnished: Lab) -> None:
    """What works from a neighbour cache is not yet reachable: the gateway has to be able to ask again."""
    furnished.virtkit(*CREATE)
    settle(furnished)
    furnished.ip("neigh flush all", inside=furnished.gateway)
    for target in (HOST4, HOST6, "10.9.0.12", "2001:db8:9::12"):
        furnished.run("ping", "-c", "1", "-W", "2", target, inside=furnished.gateway)


def test_kernel_refusal_in_the_middle_of_the_move_is_taken_back(furnished: Lab) -> None:
    """A macvtap takes the port's frames: the kernel refuses the port (EBUSY), after it accepted the addresses."""
    plan = furnished.call(lambda: plan_bridge("br0", "eth0"))
    furnished.ip("link add link eth0 name mv0 type macvtap mode bridge")
    before = picture.everything(furnished)
    with pytest.raises(RolledBackError, match="eth0: make it a port of br0: device or resource busy"):
        _run(furnished, plan)
    assert picture.everything(furnished) == before


def test_name_taken_meanwhile_is_left_alone(lab: Lab) -> None:
    plan = lab.call(lambda: plan_bridge("br0", "eth0"))
    lab.ip("link add br0 type bridge")
    before = picture.everything(lab)
    with pytest.raises(RolledBackError, match="create bridge br0: file exists"):
        _run(lab, plan)
    assert picture.everything(lab) == before


def test_port_gone_meanwhile_leaves_no_bridge(lab: Lab) -> None:
    plan = lab.call(lambda: plan_bridge("br0", "eth0"))
    lab.ip("link delete eth0")
    with pytest.raises(RolledBackError, match="eth0: no such link"):
        _run(lab, plan)
    assert {link["ifname"] for link in lab.json("link")} == {"lo"}


def test_plan_is_not_carried_out_on_a_host_that_changed_since(lab: Lab) -> None:
    settle(lab)
    plan = lab.call(lambda: plan_bridge("br0", "eth0"))
    lab.ip("addr add 10.9.0.99/24 dev eth0")
    before = picture.everything(lab)
    with pytest.raises(RolledBackError, match=r"10\.9\.0\.99/24"):
        _run(lab, plan)
    assert picture.everything(lab) == before


def test_undo_does_not_cut_off_a_machine_that_joined_since(lab: Lab) -> None:
    lab.virtkit(*CREATE)
    lab.ip("tuntap add tap9 mode tap\nlink set tap9 master br0 up")
    refused = lab.virtkit("undo", "-y", check=False)
    assert (refused.returncode, "changed by somebody else" in refused.stderr) == (1, True)
    assert lab.json("link", "show", "eth0")[0]["master"] == "br0"
    with pytest.raises(BusyError, match="tap9 would lose the network"):
        lab.call(lambda: plan_delete_bridge("br0"))


def test_route_of_another_link_to_the_same_network_stays(lab: Lab) -> None:
    """Two links in one network: a request to replace the route would hit the other link's."""
    lab.ip("link add eth1 type veth peer name lan1\nlink set lan1 up\nlink set eth1 up")
    lab.ip("addr add 10.9.0.21/24 dev eth1\nroute add 10.30.0.0/16 dev eth1\nroute append 10.30.0.0/16 dev eth0")
    settle(lab)
    before, other = picture.everything(lab), picture.held(lab, "eth1")
    mine = picture.held(lab, "eth0")
    lab.virtkit(*CREATE)
    assert picture.held(lab, "eth1") == other
    assert picture.held(lab, "br0") == mine
    lab.virtkit("undo", "-y")
    after = picture.everything(lab)
    assert sorted(map(str, after.pop("routes"))) == sorted(map(str, before.pop("routes")))
    assert after == before


def test_prefix_route_that_somebody_deleted_or_changed_stays_so(lab: Lab) -> None:
    lab.ip("addr add 10.40.0.1/24 dev eth0\nroute del 10.40.0.0/24 dev eth0\naddr add 10.41.0.1/24 dev eth0")
    lab.ip("route change 10.41.0.0/24 dev eth0 proto kernel scope link src 10.41.0.1 mtu 1300")
    settle(lab)
    before, held = picture.everything(lab), picture.held(lab, "eth0")
    lab.virtkit(*CREATE)
    assert picture.held(lab, "br0") == held
    lab.virtkit("undo", "-y")
    assert picture.everything(lab) == before


@pytest.mark.parametrize(
    ("preparing", "port", "said"),
    [
        ("", "lo", "is the loopback link"),
        ("", "eth9", "no such link"),
        ("link add br5 type bridge", "br5", "is a bridge itself"),
        ("link add br5 type bridge\nlink set eth0 master br5", "eth0", "is a port of br5 already"),
        ("link add link eth0 name mv0 type macvtap mode bridge", "eth0", "carries mv0 (macvtap)"),
        (
            "rule add iif eth0 table 100 pref 500\nrule add table 100 pref 500",
            "eth0",
            "before another one of its priority",
        ),
        ("tuntap add tun5 mode tun", "tun5", "expected 1 (Ethernet)"),
    ],
)
def test_refuses_what_cannot_be_bridged(lab: Lab, preparing: str, port: str, said: str) -> None:
    lab.ip(preparing)
    settle(lab)
    before = picture.everything(lab)
    refused = lab.virtkit("net", "bridge", "create", "br0", "--port", port, "-y", check=False)
    assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
    assert picture.everything(lab) == before


def _run(lab: Lab, plan: Plan) -> int:
    return lab.call(lambda: engine.run(plan, System(), Journal(lab.state / "journal")))


def _virtkit(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "virtkit", *arguments]


@contextmanager
def _session(lab: Lab) -> Iterator[Callable[[], None]]:
    """A TCP connection from the gateway to the host, made before and used after."""
    with lab.call(lambda: socket.create_server((HOST4, 2200))) as server:
        there = replace(lab, host=lab.gateway)
        client = there.call(lambda: socket.create_connection((HOST4, 2200), timeout=5))
        accepted, _ = server.accept()
        accepted.settimeout(5)
        with client, accepted:

            def echo() -> None:
                for near, far in ((client, accepted), (accepted, client)):
                    near.sendall(b"still there")
                    assert far.recv(100) == b"still there"

            echo()
            yield echo
