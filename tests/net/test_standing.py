from __future__ import annotations

import json

from net.samples import PORT, address, network, route, standing
from virtkit.net.standing import Standing, load


def _written(state: Standing) -> Standing:
    return load(json.loads(json.dumps(state.data())))


def test_what_the_journal_keeps_is_what_was_seen() -> None:
    held = (address("10.9.0.11/24"), address("10.9.0.12/24", label="eth0:1"), address("2001:db8::1/64", flags=0x102))
    now = standing(network(held, (route("default", via="10.9.0.1", metric=100),), joined=True))
    assert _written(now) == now


def test_kernels_own_link_local_address_is_not_counted() -> None:
    own = address("fe80::1/64", protocol=3)
    static = address("fe80::2/64")
    assert standing(network((own, static))).port.addresses == (static,)


def test_advertised_address_neither_counts_as_a_change_nor_returns_when_it_is_gone() -> None:
    advertised, static = address("2001:db8:1::5/64", protocol=2), address("2001:db8::1/64")
    before = standing(network((advertised, static)))
    assert before.lines() == standing(network((static,))).lines()
    assert before.resumed(standing(network((static,)))).port.addresses == (static,)
    assert before.resumed(before).port.addresses == (advertised, static)


def test_link_that_was_made_anew_gets_its_routes_by_its_new_index() -> None:
    before = standing(network((address("10.9.0.11/24"),), (route("default", via="10.9.0.1"),))).port
    after = before.at(77)
    assert not any(found.uses(PORT) for found in after.routes)
    assert after.route_lines() == before.route_lines()
    assert after.address_lines() == before.address_lines()
