from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from net.samples import BRIDGE, PORT, address, route
from virtkit.net import decode, replay
from virtkit.net.wire import AddressHeader, Attribute, Attributes, RouteHeader, head

unknown = st.lists(st.builds(Attribute, st.integers(40, 0x3FFF), st.binary(max_size=20), st.booleans()))


@given(unknown)
def test_route_keeps_attributes_that_nobody_here_knows(extra: list[Attribute]) -> None:
    moved = replay.route_on(route("10.0.0.0/8", via="10.9.0.2", extra=Attributes(extra).pack()), PORT, BRIDGE)
    kept = [found for found in Attributes.parse(moved.raw, RouteHeader.SIZE) if found.type >= 40]
    assert kept == extra


@given(unknown)
def test_route_moved_there_and_back_is_the_same(extra: list[Attribute]) -> None:
    before = route("10.0.0.0/8", via="10.9.0.2", metric=7, extra=Attributes(extra).pack())
    moved = replay.route_on(before, PORT, BRIDGE)
    assert moved.uses(BRIDGE)
    assert not moved.uses(PORT)
    assert moved.line(BRIDGE) == before.line(PORT)
    assert replay.route_on(moved, BRIDGE, PORT) == before


def test_label_follows_the_name_of_its_link() -> None:
    before = address("10.9.0.12/24", label="eth0:1")
    moved = replay.address_on(before, "eth0", "br0", BRIDGE)
    assert (moved.label, decode.address(moved.raw).label) == ("br0:1", "br0:1")
    assert moved.line("br0") == before.line("eth0")
    assert replay.address_on(moved, "br0", "eth0", PORT) == before


def test_label_that_would_grow_too_long_does_not_fit() -> None:
    assert replay.label_fits(address("10.9.0.12/24", label="eth0:1"), "eth0", "bridge-of-vm")
    assert not replay.label_fits(address("10.9.0.12/24", label="eth0:12"), "eth0", "bridge-of-13ch")


def test_request_carries_no_state_that_only_the_kernel_may_set() -> None:
    states = 0x80 | 0x40 | 0x20 | 0x08  # PERMANENT, TENTATIVE, DEPRECATED, DADFAILED
    request = replay.add(address("2001:db8::1/64", flags=states | 0x200), "br0", at_once=False)
    found = Attributes.parse(request.body, AddressHeader.SIZE)
    assert found.number(decode.IFA_FLAGS) == 0x200


def test_route_request_tells_neither_link_down_nor_counters() -> None:
    body = bytearray(route("10.0.0.0/8").raw)
    body[8] = 16 | 1 | 4  # RTNH_F_LINKDOWN, DEAD, ONLINK
    cached = Attribute(decode.RTA_CACHEINFO, bytes(32)).pack()
    request = replay.supplant(decode.route(bytes(body) + cached), "br0")
    assert head(RouteHeader, request.body).flags == 4
    assert Attributes.parse(request.body, RouteHeader.SIZE).raw(decode.RTA_CACHEINFO) is None
