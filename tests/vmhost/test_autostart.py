"""Machines start in their order, whatever becomes of one of them: on a real libvirt. There is no systemd here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.vm.blueprint import Disk, machine_xml
from vmhost import hosts
from vmhost.hosts import IMAGES

if TYPE_CHECKING:
    from vmhost.hosts import Host

pytestmark = pytest.mark.netns


def autostart(kvm: Host, name: str, *words: str) -> None:
    kvm.virtkit("vm", "autostart", name, *words)


def test_they_start_by_order_and_one_that_cannot_holds_up_nobody(kvm: Host, name: str) -> None:
    last, broken, early = (f"{name}{letter}" for letter in "abc")
    try:
        for each in (last, early):
            kvm.define(machine_xml(hosts.idle(each)))
        kvm.define(machine_xml(hosts.idle(broken, Disk(f"{IMAGES}/nowhere.qcow2", "qcow2"))))
        kvm.virsh("autostart", early)
        autostart(kvm, last, "on", "--order", "3", "--delay", "600")
        autostart(kvm, broken, "on", "--order", "2")
        autostart(kvm, early, "on", "--order", "1", "--agent", "1")
        assert "disable" in kvm.virsh("dominfo", early).partition("Autostart:")[2].split()[0]
        assert [each["name"] for each in kvm.json("vm", "autostart")] == [early, broken, last]
        done = kvm.virtkit("vm", "autostart", "--run", check=False)
        told = done.stdout.splitlines()
        assert done.returncode == 1
        assert told[0].startswith(f"✓ {early} (order 1): started: {early}: no guest agent answers after 1 s")
        assert told[1].startswith(f"✗ {broken} (order 2): ")
        assert "nowhere.qcow2" in told[1]
        assert told[2] == f"✓ {last} (order 3): started"
        assert {kvm.virsh("domstate", each) for each in (early, last)} == {"running"}
        autostart(kvm, broken, "off")
        assert kvm.virtkit("vm", "autostart", "--run").stdout.count("runs already") == 2
    finally:
        for each in (last, broken, early):
            kvm.remove(each)


def test_on_alone_is_libvirts_own_flag_and_undo_gives_the_order_back(kvm: Host, idle: str) -> None:
    autostart(kvm, idle, "on", "--order", "7", "--delay", "2")
    order = kvm.json("vm", "autostart")
    assert order == [{"name": idle, "by": "virtkit", "order": 7, "delay": 2, "agent": 0}]
    assert [each["autostart"] for each in kvm.json("vm", "list") if each["name"] == idle] == [True]
    autostart(kvm, idle, "on")
    assert kvm.json("vm", "autostart") == [{"name": idle, "by": "libvirt", "order": None, "delay": 0, "agent": 0}]
    assert kvm.virtkit("vm", "autostart", idle, "on", "--plan").returncode == 0
    kvm.virtkit("undo", "-y")
    assert kvm.json("vm", "autostart") == order
    new = f"{idle}b"
    kvm.virtkit("vm", "clone", idle, new, "-y")
    assert kvm.json("vm", "autostart") == order
    kvm.remove(new)
