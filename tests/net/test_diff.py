"""The order in which a host's only link changes hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from net.samples import BRIDGE, PORT, address, network, route, standing
from virtkit.net import diff, replay

if TYPE_CHECKING:
    from virtkit.net.model import Address, Route

hosts = st.integers(1, 250)
addresses = st.lists(hosts, unique=True, max_size=6).map(
    lambda numbers: tuple(address(f"10.9.{n}.1/24" if n % 2 else f"2001:db8:{n:x}::1/64") for n in numbers)
)
routes = st.lists(hosts, unique=True, max_size=6).map(
    lambda numbers: tuple(route(f"10.{n}.0.0/16", via="10.9.0.1" if n % 2 else "") for n in numbers)
)


@given(addresses, routes)
def test_nothing_is_asked_where_all_is_as_it_should_be(held: tuple[Address, ...], led: tuple[Route, ...]) -> None:
    shown = network(held, led)
    assert diff.steps(shown, standing(shown), standing(shown)).all == []


@given(addresses, routes)
def test_each_thing_is_added_before_the_port_joins_and_deleted_last(
    held: tuple[Address, ...], led: tuple[Route, ...]
) -> None:
    shown = network(held, led)
    now = standing(shown)
    asked = [request.what for request in diff.steps(shown, now, now.bridged()).all]
    join = asked.index("eth0: make it a port of br0")
    assert {f"br0: add {a.text}" for a in held} <= set(asked[:join])
    assert not [what for what in asked[:join] if "delete" in what]
    assert {f"br0: route {r.text}" for r in led} == {what for what in asked[join:] if "br0: route" in what}
    gone = [what for what in asked if what.startswith("eth0: delete")]
    assert sorted(gone) == sorted(f"eth0: delete {a.text}" for a in held)
    assert asked.index("copy neighbour 02:00:00:00:00:01") < join if held else "copy" not in str(asked)


@given(routes)
def test_routes_without_a_gateway_come_first(led: tuple[Route, ...]) -> None:
    shown = network((), led)
    asked = [r.what for r in diff.steps(shown, standing(shown), standing(shown).bridged()).all if "route" in r.what]
    gateways = ["via" in what for what in asked]
    assert gateways == sorted(gateways)


def test_port_leaves_after_its_routes_and_before_the_bridges_addresses_go() -> None:
    held, led = address("10.9.0.11/24", BRIDGE), route("default", BRIDGE, via="10.9.0.1")
    shown = network((held,), (led,), joined=True)
    now = standing(shown)
    asked = [request.what for request in diff.steps(shown, now, now.released()).all]
    assert asked == [
        "eth0: add 10.9.0.11/24",
        "eth0: route default via 10.9.0.1",
        "br0: delete route default via 10.9.0.1",
        "eth0: take it out of its bridge",
        "br0: delete 10.9.0.11/24",
    ]


def test_route_that_the_kernel_makes_with_the_address_is_not_asked_for() -> None:
    made = replay.route_on(route("2001:db8::/64", metric=256, protocol=2), PORT, PORT)
    shown = network((address("2001:db8::1/64"),), (made,))
    now = standing(shown)
    assert not [r.what for r in diff.steps(shown, now, now.bridged()).all if "route" in r.what]


def test_first_route_of_a_slot_that_is_anothers_is_not_replaced() -> None:
    theirs, ours = route("10.0.0.0/8", index=9), route("10.0.0.0/8")
    shown = network((), (theirs, ours))
    now = standing(shown)
    assert "br0: add route 10.0.0.0/8" in [r.what for r in diff.steps(shown, now, now.bridged()).all]


def test_two_routes_of_one_slot_both_move() -> None:
    pair = (route("10.0.0.0/8", via="10.9.0.1"), route("10.0.0.0/8", via="10.9.0.2"))
    shown = network((), pair)
    now = standing(shown)
    asked = [r.what for r in diff.steps(shown, now, now.bridged()).all if "10.0.0.0" in r.what]
    assert asked == ["br0: route 10.0.0.0/8 via 10.9.0.1", "br0: add route 10.0.0.0/8 via 10.9.0.2"]
