"""What libvirt counts, and the rates that follow from two looks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.units import KIB
from virtkit.vm.counters import Counters, Round, parse
from virtkit.vm.loads import loads

SAID = {  # as libvirt 9.0 tells of a guest under TCG; vCPU 1 was taken offline
    "state.state": 1,
    "cpu.time": 5_000_000_000,
    "balloon.current": 131072,
    "balloon.maximum": 131072,
    "balloon.available": 94540,
    "balloon.usable": 60768,
    "balloon.unused": 54580,
    "balloon.rss": 262604,
    "balloon.last-update": 1795659984,
    "vcpu.current": 2,
    "vcpu.maximum": 3,
    "vcpu.0.state": 1,
    "vcpu.0.time": 2_740_000_000,
    "vcpu.0.delay": 1_883_285_142,
    "vcpu.2.state": 1,
    "vcpu.2.time": 1_830_000_000,
    "block.count": 1,
    "block.0.name": "vda",
    "block.0.path": "/var/lib/libvirt/images/guest.qcow2",
    "block.0.rd.bytes": 2503168,
    "block.0.rd.reqs": 52,
    "net.count": 1,
    "net.0.name": "vnet0",
    "net.0.rx.bytes": 7,
    "net.0.tx.drop": 3,
}


def test_what_is_said_is_read_and_what_is_not_stays_unknown() -> None:
    found = parse("guest", "u", SAID)
    assert [(vcpu.number, vcpu.delay, vcpu.wait) for vcpu in found.vcpus] == [(0, 1_883_285_142, None), (2, None, None)]
    assert found.memory.used == (94540 - 60768) * KIB
    assert found.memory.swap_in is None
    assert (found.disks[0].name, found.disks[0].read_requests, found.disks[0].write_bytes) == ("vda", 52, None)
    assert (found.cards[0].receive_bytes, found.cards[0].transmit_drops) == (7, 3)
    off = parse("off", "u", {"state.state": 5, "vcpu.maximum": 1})
    assert (off.active, off.cpu_time, off.memory.used, off.vcpus) == (False, None, None, ())


def machine(cpu: int, delay: int, read: int) -> Counters:
    more = {"cpu.time": cpu, "vcpu.0.time": cpu, "vcpu.0.delay": delay, "block.0.rd.bytes": read}
    return parse("guest", "u", SAID | more)


counts = st.tuples(*[st.integers(0, 10**13)] * 3)


@given(counts, counts, st.floats(0.1, 3600), st.integers(1, 512))
def test_rates_are_what_was_added_by_second_and_never_negative(
    then: tuple[int, int, int], added: tuple[int, int, int], seconds: float, cpus: int
) -> None:
    now = machine(*(a + b for a, b in zip(then, added, strict=True)))
    (load,) = loads(Round(1.0, (machine(*then),)), Round(1.0 + seconds, (now,)), cpus).values()
    exact = (1.0 + seconds) - 1.0
    assert abs(load.cpu_of_host * cpus * exact * 1e9 - added[0]) < 1e-6 * added[0] + 1
    assert abs((load.steal or 0) * 2 * exact * 1e9 - added[1]) < 1e-6 * added[1] + 1
    assert abs(load.read * exact - added[2]) < 1e-6 * added[2] + 1


def test_a_machine_that_was_started_anew_or_is_new_or_off_has_no_rates() -> None:
    off = parse("guest", "u", {"state.state": 5})
    for before in ((machine(9, 9, 9),), (), (off,)):
        assert not loads(Round(0, before), Round(1, (machine(8, 9, 9),)), 2)
    assert not loads(Round(0, (machine(1, 1, 1),)), Round(1, (off,)), 2)


def test_a_disk_that_was_plugged_in_anew_counts_from_zero() -> None:
    (load,) = loads(Round(0, (machine(1, 1, 900),)), Round(1, (machine(2, 2, 300),)), 2).values()
    assert load.read == 300
