"""virtkit's reading of the kernel against iproute2's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from virtkit.core.errors import NetworkError
from virtkit.net import requests
from virtkit.net.kernel import Kernel
from virtkit.net.model import FOREVER, IPV4, Network

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns


def _network() -> Network:
    with Kernel() as kernel:
        return kernel.network()


def test_reads_links_as_ip_does(furnished: Lab) -> None:
    furnished.ip(
        "link add br7 type bridge stp_state 1\nlink add v1 mtu 1400 type veth peer name v2\nlink set v1 master br7"
    )
    network = furnished.call(_network)
    shown = furnished.json("link")
    assert len(network.links) == len(shown) == 5
    for link, entry in zip(network.links, shown, strict=True):
        assert (link.index, link.name, link.mac) == (entry["ifindex"], entry["ifname"], entry["address"])
        assert (link.mtu, link.state) == (entry["mtu"], entry["operstate"].lower())
        assert link.up == ("UP" in entry["flags"])
        assert link.kind == entry.get("linkinfo", {}).get("info_kind", "")
        master = network.by_index.get(link.master)
        assert (master.name if master else None) == entry.get("master")
        assert link.elsewhere == ("link_netnsid" in entry)
    bridge = network.by_name["br7"].bridge
    assert bridge is not None
    (entry,) = furnished.json("link", "show", "br7")
    assert bridge.stp == bool(entry["linkinfo"]["info_data"]["stp_state"])
    assert bridge.forward_delay == entry["linkinfo"]["info_data"]["forward_delay"]


def test_reads_addresses_as_ip_does(furnished: Lab) -> None:
    network = furnished.call(_network)
    shown = [(link["ifname"], address) for link in furnished.json("addr") for address in link["addr_info"]]
    read = {(network.by_index[a.index].name, a.local): a for a in network.addresses}
    assert len(read) == len(shown) > 10
    for name, entry in shown:
        address = read[name, entry["local"]]
        assert address.prefix_length == entry["prefixlen"]
        assert address.peer == entry.get("address", "")
        assert address.broadcast == entry.get("broadcast", "")
        assert address.line(name).split(" scope ")[1:] or entry["scope"] == "global"
        assert (address.family == IPV4) == (entry["family"] == "inet")
        assert address.label == entry.get("label", "")
        assert address.metric == entry.get("metric", 0)
        assert address.valid == pytest.approx(entry["valid_life_time"], abs=2)
        assert (address.preferred == FOREVER) == (entry["preferred_life_time"] == FOREVER)
        for word in ("secondary", "noprefixroute", "nodad"):
            assert (word in address.flags) == bool(entry.get(word)), (word, entry)


def test_reads_routes_of_all_tables_as_ip_does(furnished: Lab) -> None:
    network = furnished.call(_network)
    shown = furnished.json("-N", "-4", "route", "show", "table", "all")
    shown += furnished.json("-N", "-6", "route", "show", "table", "all")
    assert len(network.routes) == len(shown) > 30
    assert sorted(_spelled(network)) == sorted(_spell(entry) for entry in shown)


def _spelled(network: Network) -> list[str]:
    names = {link.index: link.name for link in network.links}
    return [
        repr(
            (
                "default"
                if route.destination == "default"
                else route.destination.removesuffix("/32").removesuffix("/128"),
                route.table,
                route.type,
                route.protocol,
                route.scope,
                route.metric,
                route.source,
                route.mtu,
                sorted((names[hop.index], hop.gateway, hop.weight, hop.onlink) for hop in route.nexthops),
            )
        )
        for route in network.routes
    ]


def _spell(entry: dict[str, Any]) -> str:
    hops = entry.get("nexthops", [entry])
    return repr(
        (
            entry["dst"],
            int(entry.get("table", 254)),
            int(entry.get("type", 1)),
            int(entry.get("protocol", 3)),
            int(entry.get("scope", 0)),
            entry.get("metric", 0),
            entry.get("prefsrc", ""),
            entry.get("metrics", [{}])[0].get("mtu", 0),
            sorted(
                (
                    hop["dev"],
                    hop.get("gateway", hop.get("via", {}).get("host", "")),
                    hop.get("weight", 1),
                    "onlink" in hop["flags"],
                )
                for hop in hops
            ),
        )
    )


def test_reads_rules_and_neighbours_as_ip_does(furnished: Lab) -> None:
    furnished.ip(
        "rule add iif eth0 table 100 pref 500\nneigh add 10.9.0.50 lladdr 02:00:00:00:00:50 dev eth0 nud permanent"
    )
    network = furnished.call(_network)
    assert [rule.priority for rule in network.rules if rule.incoming == "eth0"] == [500]
    (shown,) = furnished.json("neigh", "show", "nud", "permanent")
    (read,) = [neighbour for neighbour in network.neighbours if neighbour.permanent]
    assert read.mac.hex(":") == shown["lladdr"]


def test_requests_of_one_transaction_are_carried_out_in_order(lab: Lab) -> None:
    mac = "02:00:00:00:00:77"

    def change() -> None:
        with Kernel() as kernel:
            kernel.transaction(
                [
                    requests.create_bridge("br3", "02:00:00:00:00:03"),
                    requests.set_mac("br3", mac),
                    *requests.pin_mtu("br3", 1400),
                    requests.set_up("br3"),
                    requests.set_up("br3", up=False),
                ]
            )

    lab.call(change)
    (shown,) = lab.json("link", "show", "br3")
    assert (shown["address"], shown["mtu"], "UP" in shown["flags"]) == (mac, 1400, False)


def test_refusal_names_the_request_and_the_others_are_carried_out(lab: Lab) -> None:
    def change() -> None:
        with Kernel() as kernel:
            kernel.transaction([requests.set_mtu("eth0", 1400), requests.set_mtu("eth0", 20), requests.set_up("lo9")])

    with pytest.raises(NetworkError, match=r"eth0: set mtu 20: invalid argument \(mtu less than device minimum\)"):
        lab.call(change)
    assert lab.json("link", "show", "eth0")[0]["mtu"] == 1400


def test_deleting_what_is_gone_is_no_error(lab: Lab) -> None:
    def change() -> None:
        with Kernel() as kernel:
            kernel.transaction([requests.delete_link("br9")])

    lab.call(change)


def test_a_reading_while_the_table_changes_is_whole(lab: Lab) -> None:
    """NLM_F_DUMP_INTR: without reading again, entries that were always there would be missing at times."""
    lab.ip("\n".join(f"route add 10.{i // 250}.{i % 250}.0/24 dev lo table 7" for i in range(4000)))
    churn = lab.start(
        "sh", "-c", "while :; do ip route add 10.250.0.0/16 dev lo table 7; ip route del 10.250.0.0/16 table 7; done"
    )
    try:
        for _ in range(10):
            network = lab.call(_network)
            steady = {r.destination for r in network.routes if r.table == 7} - {"10.250.0.0/16"}
            assert len(steady) == 4000
    finally:
        churn.kill()
        churn.communicate()
