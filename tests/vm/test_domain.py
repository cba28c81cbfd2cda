from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from virtkit.vm.domain import Domain

cpu_sets = st.frozensets(st.integers(0, 63), min_size=1).map(lambda cpus: tuple(sorted(cpus)))

TUNED = "<domain><name>x</name><cputune><shares>9</shares><vcpupin vcpu='0' cpuset='1'/></cputune></domain>"


@given(st.dictionaries(st.integers(0, 7), cpu_sets), st.just(()) | cpu_sets)
def test_pins_are_replaced_whole_and_read_back(vcpus: dict[int, tuple[int, ...]], emulator: tuple[int, ...]) -> None:
    domain = Domain.parse(TUNED)
    domain.set_pins(vcpus, emulator, {})
    again = Domain.parse(domain.text())
    assert again.pins == vcpus
    assert bool(again.emulator_pin) == bool(emulator)
    assert again.node.findtext("cputune/shares") == "9"


def test_pins_that_go_leave_no_trace() -> None:
    bare = Domain.parse("<domain><name>x</name></domain>")
    before = bare.text()
    bare.set_pins({0: (1,)}, (0,), {})
    bare.set_pins({}, (), {})
    assert bare.text() == before


def test_a_card_that_moves_to_a_bridge_takes_nothing_of_its_network_along() -> None:
    domain = Domain.parse(
        "<domain><devices><interface type='network'><mac address='52:54:00:AA:00:01'/>"
        "<source network='default' portid='p' bridge='virbr0'/><virtualport type='openvswitch'/>"
        "<target dev='vnet0'/><model type='virtio'/></interface></devices></domain>"
    )
    nic = domain.nic("52:54:00:aa:00:01")
    assert nic is not None
    assert (nic.source, nic.bridge) == ("default", "virbr0")
    nic.connect("bridge", "br0")
    assert domain.text() == (
        '<domain><devices><interface type="bridge"><mac address="52:54:00:AA:00:01" />'
        '<source bridge="br0" /><target dev="vnet0" /><model type="virtio" /></interface></devices></domain>'
    )


def test_the_digest_follows_content_and_not_spelling() -> None:
    one = Domain.parse("<domain type='qemu' id='1'>\n <name>x</name>\n</domain>")
    same = Domain.parse('<domain id="1" type="qemu"><name>x</name></domain>')
    other = Domain.parse('<domain id="1" type="qemu"><name>y</name></domain>')
    assert one.digest == same.digest != other.digest


def devices(*inside: str) -> str:
    return Domain.parse(f"<domain><devices>{''.join(inside)}</devices></domain>").digest


def test_the_digest_ignores_where_libvirt_put_its_controllers_but_not_the_order_of_disks() -> None:
    usb, pci = "<controller type='usb'/>", "<controller type='pci'/>"
    one, two = "<disk><target dev='vda'/></disk>", "<disk><target dev='vdb'/></disk>"
    assert devices(usb, one, pci, two) == devices(pci, usb, one, two)
    assert devices(one, two) != devices(two, one)
    assert devices(usb, one) != devices(pci, one)
