"""``net show`` draws how links stand to each other, and knows whose they are."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from netns.lab import GATEWAY4, HOST_MAC

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns

KEYS = (  # as documented in docs/en/network.md
    "ifindex ifname kind operstate up address mtu speed master ports port_state bridge link link_elsewhere",
    "addresses routes gateways stats64 owner holder made_by_virtkit",
)
QEMU = "qemu-system-x86_64 -M none -nodefaults -display none -name guest=web1,debug-threads=on -netdev"


def test_a_bridge_is_drawn_with_its_ports_and_the_machine_behind_each(lab: Lab) -> None:
    lab.run("ping", "-c", "2", "-i", "0.2", GATEWAY4)
    lab.virtkit("net", "bridge", "create", "br0", "--port", "eth0", "-y")
    qemu = lab.start(*QEMU.split(), "tap,id=n0,ifname=vnet7,script=no,downscript=no")
    try:
        for _ in range(100):
            if not lab.run("ip", "link", "set", "vnet7", "master", "br0", check=False).returncode:
                break
            time.sleep(0.05)
        drawn = lab.virtkit("net", "show", "-v").stdout
        told = {view["ifname"]: view for view in json.loads(lab.virtkit("net", "show", "--output", "json").stdout)}
    finally:
        qemu.kill()
        qemu.communicate()
    lines = drawn.splitlines()
    heads = [line.split()[:2] for line in lines if not line.startswith(("│", " "))]
    assert ["br0", "bridge"] in heads
    assert any(line.startswith("├─ eth0  veth  up  " + HOST_MAC) for line in lines)
    assert "│     leads to another network namespace" in lines
    assert any(line.startswith("└─ vnet7  tun  ") for line in lines)
    assert "machine web1: qemu-system-x86, pid " in drawn
    assert f"default route via {GATEWAY4}" in drawn
    assert "made by virtkit" in drawn
    assert told["vnet7"]["holder"]["machine"] == "web1"
    assert (told["eth0"]["master"], told["br0"]["ports"]) == ("br0", ["eth0", "vnet7"])
    (kernel,) = lab.json("-s", "link", "show", "eth0")
    sent, known = told["eth0"]["stats64"]["tx"], kernel["stats64"]["tx"]
    assert set(sent) <= set(known)
    assert 2 <= sent["packets"] <= known["packets"]
    assert (told["eth0"]["port_state"], told["eth0"]["link_elsewhere"]) == ("forwarding", True)
    assert set(told["br0"]) == {key for keys in map(str.split, KEYS) for key in keys}
