"""Policy rules, nexthop objects and further tables: what else leads over a host's link goes with it, and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netns import picture
from netns.lab import settle

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
RULES = """
rule add iif eth0 table 100 pref 500
rule add oif eth0 from 10.9.0.0/24 fwmark 7/15 table 100 pref 501
rule add not from 10.8.0.0/16 iif eth0 lookup main suppress_prefixlength 0 pref 502
rule add iif lo table 100 pref 503
route add default via 10.9.0.3 table 100
"""
NEXTHOPS = """
nexthop add id 7 via 10.9.0.2 dev eth0
nexthop add id 8 dev eth0
nexthop add id 9 via 2001:db8:9::2 dev eth0 onlink
nexthop add id 20 group 7/8
route add 10.3.0.0/16 nhid 7 metric 5
route add 10.4.0.0/16 nhid 8
route add 2001:db8:4::/48 nhid 9
"""
TWO_LINKS = """
link add eth1 type veth peer name lan1
link set lan1 up
link set eth1 up
addr add 10.10.0.11/24 dev eth1
route add 10.20.0.0/16 nexthop via 10.9.0.2 weight 3 nexthop via 10.10.0.2
route add 2001:db8:20::/48 nexthop via 2001:db8:9::2 dev eth0 nexthop via 2001:db8:9::3 dev eth0
"""


def _renamed(entries: picture.Entries, old: str, new: str) -> list[str]:
    return sorted(str(entry).replace(f"'{old}'", f"'{new}'") for entry in entries)


def test_policy_rules_that_name_the_port_name_the_bridge_and_back(lab: Lab) -> None:
    lab.ip(RULES)
    lab.run(
        "ip",
        "-6",
        "rule",
        "add",
        "from",
        "2001:db8:9::/64",
        "iif",
        "eth0",
        "oif",
        "eth0",
        "table",
        "100",
        "pref",
        "503",
    )
    settle(lab)
    before = picture.everything(lab)
    assert sum("'eth0'" in str(rule) for rule in before["rules"]) == 3
    lab.virtkit(*CREATE)
    assert _renamed(lab.json("rule"), "br0", "eth0") == _renamed(before["rules"], "", "")
    assert _renamed(lab.json("-6", "rule"), "br0", "eth0") == _renamed(before["rules6"], "", "")
    lab.virtkit("undo", "-y")
    assert picture.everything(lab) == before


def test_nexthop_objects_lead_over_the_bridge_and_back(lab: Lab) -> None:
    lab.ip(NEXTHOPS)
    settle(lab)
    before, objects = picture.everything(lab), lab.json("nexthop")
    lab.virtkit(*CREATE)
    assert _renamed(lab.json("nexthop"), "br0", "eth0") == _renamed(objects, "", "")
    routes = lab.json("-4", "route", "show", "table", "all") + lab.json("-6", "route", "show", "table", "all")
    assert {route["dst"]: route["dev"] for route in routes if "nhid" in route} == {
        "10.3.0.0/16": "br0",
        "10.4.0.0/16": "br0",
        "2001:db8:4::/48": "br0",
    }
    lab.virtkit("undo", "-y")
    assert (picture.everything(lab), lab.json("nexthop")) == (before, objects)


def test_one_way_of_several_moves_and_the_others_stay_on_their_link(lab: Lab) -> None:
    lab.ip(TWO_LINKS)
    settle(lab)
    before = picture.everything(lab)
    lab.virtkit(*CREATE)
    (route,) = lab.json("route", "show", "10.20.0.0/16")
    assert [(hop["gateway"], hop["dev"], hop["weight"]) for hop in route["nexthops"]] == [
        ("10.9.0.2", "br0", 3),
        ("10.10.0.2", "eth1", 1),
    ]
    lab.virtkit("undo", "-y")
    assert picture.everything(lab) == before
