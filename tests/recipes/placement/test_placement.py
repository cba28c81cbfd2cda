"""Machines as libvirt tells of them, brought onto made-up hosts."""

from __future__ import annotations

import pytest

from host.shapes import Shape, topology
from virtkit.core.errors import NotSupportedError
from virtkit.core.units import GIB, MIB
from virtkit.host.placement import place, replan
from virtkit.host.placement.room import make_room
from virtkit.host.placement.wish import Seat, Wish
from virtkit.recipes.placement.auto import ALL_ARE_MACHINES, of_wishes
from virtkit.recipes.placement.machines import Known, policy_of, wish_of
from virtkit.recipes.placement.proposal import Host, beside, pins_of, refuse, taken, unaware
from virtkit.vm.domain import Domain
from virtkit.vm.pinning import Pins

XML = """<domain type='kvm'><name>db</name><memory unit='GiB'>8</memory>
<vcpu current='2'>4</vcpu><iothreads>2</iothreads>
<memoryBacking><hugepages><page size='1' unit='GiB'/></hugepages></memoryBacking><devices>
<hostdev mode='subsystem' type='pci'>
<source><address domain='0x0000' bus='0x3b' slot='0x00' function='0x0'/></source></hostdev>
<interface type='hostdev'>
<source><address type='pci' domain='0' bus='0x5e' slot='0x02' function='0x1'/></source></interface>
</devices></domain>"""


def _host(shape: Shape) -> Host:
    made = topology(shape)
    return Host(made, (), made.cpus, None)


TWO_NODES = _host(Shape(2, 1, 1, 4, 2, 16 * GIB))  # CPUs 0-3,8-11 and 4-7,12-15


def _known(wish: Wish, *cpus: set[int], active: bool = True) -> Known:
    return Known(wish.name, active, wish, Seat(tuple(map(frozenset, cpus)), frozenset({0}), {}, {}) if cpus else None)


def test_a_machine_asks_for_what_its_xml_says() -> None:
    wish = wish_of("db", Domain.parse(XML), {"0000:3b:00.0": 1, "0000:5e:02.1": 0})
    assert wish == Wish("db", 2, 8 * GIB, GIB, "shared", (1, 0), (1, 2))


def test_its_policy_follows_from_its_pins() -> None:
    wish, cores = Wish("db", 2, GIB), TWO_NODES.topology.cores
    seats = {
        "dedicated": ({1}, {9}), "isolate": ({1}, {2}), "shared": ({1, 2}, {1, 2}),
    }  # fmt: skip
    for policy, vcpus in seats.items():
        assert policy_of(wish, _known(wish, *vcpus).seat, cores) == policy
    assert policy_of(wish, None, cores) == "shared"
    alone = Seat((frozenset({8}),), frozenset({8}), {}, {})
    assert policy_of(wish._replace(vcpus=1), alone, cores) == "shared"


def test_what_others_have_is_not_given_away_again() -> None:
    pinned = _known(Wish("web", 2, 2 * GIB, policy="dedicated"), {1}, {9})
    off = _known(Wish("old", 1, GIB, policy="dedicated"), {5}, active=False)
    loose = _known(Wish("ci", 4, 4 * GIB))
    found = taken(TWO_NODES, [pinned, off, loose])
    assert found.cpus == {1, 9, 5}
    assert found.memory == {0: 4 * GIB, 1: 2 * GIB}
    assert found.vcpus == {0: 2, 1: 2}
    room = make_room(TWO_NODES.topology, taken=found)
    plan = place(room, [Wish("db", 6, GIB, policy="dedicated")])
    assert not plan.seats["db"].cpus & {1, 9, 5, 13, 0, 8, 4, 12}


def test_a_plan_without_reason_moves_nobody() -> None:
    room = make_room(TWO_NODES.topology)
    wishes = [Wish("a", 2, GIB, policy="dedicated"), Wish("b", 2, GIB, policy="dedicated")]
    present = {"a": _known(wishes[0], {1}, {9}).seat, "b": _known(wishes[1], {5}, {13}).seat}
    kept = replan(room, wishes, {name: seat for name, seat in present.items() if seat})
    assert not kept.moved
    assert [seat.cpus for seat in kept.seats.values()] == [{1, 9}, {5, 13}]


def test_a_machine_that_is_moved_takes_a_fault_away() -> None:
    room = make_room(TWO_NODES.topology)
    wishes = [Wish("a", 4, GIB, policy="dedicated"), Wish("b", 2, GIB, policy="dedicated")]
    present = {"a": _known(wishes[0], {1}, {9}, {5}, {13}).seat, "b": _known(wishes[1], {2}, {10}).seat}
    better = replan(room, wishes, {name: seat for name, seat in present.items() if seat})
    assert better.moved == ("a",)
    assert better.score[:5] == (0, 0, 0, 0, 0)


def test_pins_name_the_nodes_only_where_there_are_several() -> None:
    seat = place(make_room(TWO_NODES.topology), [Wish("db", 2, GIB, policy="dedicated", iothreads=(1,))]).seats["db"]
    pins = pins_of(seat, TWO_NODES, own=True)
    assert pins == Pins({0: (1,), 1: (9,)}, (0, 8), {1: (0, 8)}, (0,), "strict")
    one = _host(Shape(1, 1, 1, 4, 2))
    alone = place(make_room(one.topology), [Wish("db", 2, GIB)]).seats["db"]
    assert pins_of(alone, one, own=False) == Pins({})


def test_a_guest_that_takes_siblings_for_cores_is_told() -> None:
    wishes = [
        Wish("a", 4, GIB, policy="dedicated"),
        Wish("b", 4, GIB, policy="dedicated"),
        Wish("c", 1, GIB, policy="isolate"),
    ]
    plan = place(make_room(TWO_NODES.topology), wishes)
    known = [_known(wishes[0]), _known(wishes[1])._replace(threads=2), _known(wishes[2])]
    (said,) = unaware(known, plan, TWO_NODES)
    assert said.startswith(
        "a: its guest does not see that its vCPUs share cores: virtkit vm edit a, <topology ... threads='2'/>"
    )


def test_machines_that_float_on_cores_of_anothers_own_are_told() -> None:
    wish = Wish("db", 4, GIB, policy="dedicated")
    plan = place(make_room(TWO_NODES.topology), [wish])
    loose, off, aside = _known(Wish("ci", 2, GIB)), _known(Wish("off", 2, GIB), active=False), Wish("web", 2, GIB)
    others = [loose, off, _known(aside, {0, 8}, {0, 8})]
    (said,) = beside(others, plan, {"db"}, TWO_NODES)
    assert said.startswith("ci may run on these CPUs, too: virtkit host place, without names")
    assert beside(others, plan, set(), TWO_NODES) == ()


def test_auto_gives_cpus_of_their_own_to_those_for_whom_there_are_some() -> None:
    chosen = of_wishes([Wish("a", 4, GIB), Wish("b", 4, GIB), Wish("c", 14, GIB)], [], TWO_NODES, stay=False)
    assert {len(cpus) for name in "ab" for cpus in chosen[name].pins.vcpus.values()} == {1}
    assert "14 vCPUs of its own: 7 whole cores" in chosen["c"].notes[0]
    assert not set(chosen["c"].pins.vcpus.get(0, ())) & {
        cpu for cpus in chosen["a"].pins.vcpus.values() for cpu in cpus
    }


def test_auto_keeps_no_core_for_a_host_that_is_too_small_for_that() -> None:
    chosen = of_wishes([Wish("a", 2, GIB)], [], _host(Shape(1, 1, 1, 2, 1)), stay=False)["a"]
    assert (chosen.pins.vcpus, chosen.notes) == ({0: (0,), 1: (1,)}, (ALL_ARE_MACHINES,))


@pytest.mark.parametrize(
    ("wish", "message", "hint"),
    [
        (Wish("db", 16, GIB, policy="dedicated"),
         "db: does not fit: 16 vCPUs of its own: 8 whole cores, free: 6, kept for the host: 4 CPUs",
         "12 vCPUs and 1 GiB would fit; or: virtkit host place db=shared"),
        (Wish("db", 2, 64 * GIB, policy="dedicated"),
         "db: does not fit: memory is 64 GiB, node 0 has 15.2 GiB, node 1 has 15.2 GiB",
         "2 vCPUs and 15.2 GiB would fit"),
        (Wish("db", 2, 64 * MIB, 2 * MIB, policy="dedicated"),
         "db: does not fit: 64 MiB need 32 huge pages of 2 MiB, node 0 has 0, node 1 has 0", "virtkit host topology"),
    ],
)  # fmt: skip
def test_what_fits_nowhere_is_refused_with_what_is_short_and_what_would_fit(
    wish: Wish, message: str, hint: str
) -> None:
    plan = place(make_room(TWO_NODES.topology), [wish])
    with pytest.raises(NotSupportedError) as refused:
        refuse(plan.shortages[0])
    assert refused.value.message == message
    assert refused.value.hint == hint


def test_auto_pins_on_a_small_host_although_others_float_there() -> None:
    loose = _known(Wish("ci", 2, GIB))
    chosen = of_wishes([Wish("a", 2, GIB)], [loose], _host(Shape(1, 1, 1, 2, 1)), stay=True)["a"]
    assert chosen.pins.vcpus == {0: (0,), 1: (1,)}
