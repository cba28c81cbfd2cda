"""What stands in a machine's way is found before it leaves: each answer comes from a real libvirt of another host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.units import TIB
from virtkit.vm.blueprint import machine_xml
from virtkit.vm.domain import Domain
from virtkit.vm.migration import capacity
from virtkit.vm.xml import parse
from vmhost import hosts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.vm.connection import Connection
    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

PIECES = """
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='inner'/></interface>
<interface type='bridge'><mac address='52:54:00:00:00:02'/><source bridge='br7'/></interface>
<hostdev mode='subsystem' type='pci'><source><address domain='0' bus='9' slot='0' function='0'/></source></hostdev>
<disk type='file' device='cdrom'>
  <source file='/var/lib/libvirt/images/none.iso'/><target dev='sda' bus='sata'/><readonly/>
</disk>
"""
CPU = "<cpu mode='custom' match='exact'><model fallback='forbid'>{}</model></cpu>"


@pytest.fixture
def connections(kvms: tuple[Host, Host]) -> Iterator[tuple[Connection, Connection]]:
    with kvms[0].open() as here, kvms[1].open() as there:
        yield here, there


@pytest.fixture
def domain(kvm: Host, idle: str) -> Domain:
    return Domain.parse(kvm.virsh("dumpxml", idle))


def with_pieces(name: str) -> str:
    xml = machine_xml(hosts.idle(name)).replace("</devices>", f"{PIECES}</devices>")
    return xml.replace("</vcpu>", "</vcpu><cputune><vcpupin vcpu='0' cpuset='1-77'/></cputune>")


def with_cpu(domain: Domain, model: str) -> Domain:
    if (old := domain.node.find("cpu")) is not None:
        domain.node.remove(old)
    domain.node.append(parse(CPU.format(model)))
    return domain


def test_all_obstacles_are_told_at_once_with_their_mends(kvms: tuple[Host, Host], name: str) -> None:
    home, away = kvms
    home.define(with_pieces(name))
    away.define(machine_xml(hosts.idle(name)))
    try:
        said = home.virtkit("vm", "migrate", name, away.tcp, "--offline", "--unsafe", "--plan", check=False)
    finally:
        away.remove(name)
    assert said.returncode == 1
    for found, mend in (
        ("name: kvm2 has a definition of", "kvm2/system undefine {}"),
        ("host device: pci 0000:09:00.0 is passed through", "virtkit vm unplug {} pci 0000:09:00.0"),
        ("network card 52:54:00:00:00:01: kvm2 has no network inner", "net-define"),
        ("network card 52:54:00:00:00:02: kvm2 has no bridge br7", "virtkit net bridge create br7"),
        ("CPU pins: vCPU 0 is pinned to CPU", "virtkit vm pin"),
        ("disk sda: kvm2 has no /var/lib/libvirt/images/none.iso", "--eject"),
    ):
        lines = said.stderr.splitlines()
        (index,) = [number for number, line in enumerate(lines) if found in line]
        assert mend.format(name) in lines[index + 1]
    assert said.stderr.count("try:") == 6


def test_what_the_other_host_has_is_no_obstacle(kvms: tuple[Host, Host], name: str) -> None:
    home, away = kvms
    nic = "<interface type='bridge'><source bridge='br7'/></interface>"
    home.define(machine_xml(hosts.idle(name)).replace("</devices>", f"{nic}</devices>"))
    away.run("ip", "link", "add", "br7", "type", "bridge")
    try:
        assert home.virtkit("vm", "migrate", name, away.tcp, "--offline", "--plan", check=False).returncode == 3
    finally:
        away.run("ip", "link", "delete", "br7")


def test_a_machine_keeps_away_from_a_host_with_a_lesser_cpu(
    connections: tuple[Connection, Connection], domain: Domain
) -> None:
    here, there = connections
    assert not list(capacity.processor(with_cpu(domain, "qemu64"), here, there))
    (obstacle,) = capacity.processor(with_cpu(domain, "Icelake-Server"), here, there)
    assert obstacle.text.startswith("CPU: kvm2 lacks features of Icelake-Server: ")
    assert "avx512f" in obstacle.text


def test_memory_chipset_and_emulator_are_asked_for(connections: tuple[Connection, Connection], domain: Domain) -> None:
    _, there = connections
    assert not [*capacity.memory(domain, there), *capacity.emulator(domain, there)]
    domain.memory = 1024 * TIB
    (obstacle,) = capacity.memory(domain, there)
    assert obstacle.text.endswith("free, expected 1 PiB")
    domain.machine = "pc-q35-99.0"
    (obstacle,) = capacity.emulator(domain, there)
    assert "pc-q35-99.0" in obstacle.text


def test_a_pool_that_is_off_over_there_is_named_with_what_starts_it(kvms: tuple[Host, Host], name: str) -> None:
    home, away = kvms
    home.define(machine_xml(hosts.idle(name, home.disk(f"{name}.qcow2"))))
    home.virsh("start", name)
    away.virsh("pool-define-as", "images", "dir", "--target", hosts.IMAGES)
    try:
        said = home.virtkit("vm", "migrate", name, away.tcp, "--copy-storage-all", "--plan", check=False)
    finally:
        away.virsh("pool-undefine", "images")
    assert "kvm2 has a pool images there that is not started" in said.stderr
    assert f"virsh --connect {away.tcp} pool-start images" in said.stderr


def test_a_host_is_not_migrated_to_itself(kvm: Host, idle: str) -> None:
    said = kvm.virtkit("vm", "migrate", idle, kvm.tcp, "--offline", "--plan", check=False)
    assert "is this very host (kvm1), expected another one" in said.stderr
