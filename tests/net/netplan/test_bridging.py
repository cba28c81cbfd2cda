"""The port's layer 3 moves to the bridge as text, and all other bytes stay."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from net.netplan.samples import MAC, bridged, document, host, means, released, write
from virtkit.core.errors import BusyError, NotSupportedError, VirtkitError
from virtkit.net.backends.netplan.keys import LAYER3

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE = "/etc/netplan/50.yaml"
COMMENTED = """\
# the host's network
network:
  version: 2
  ethernets:
    # uplink to switch 3
    eth0:
      match: {macaddress: "52:54:00:aa:00:11"}   # card in slot 1
      set-name: eth0
      # the office
      addresses:
      - 10.9.0.11/24   # main
      - "2001:db8:9::11/64"
        # - 10.9.0.12/24

      # way out
      routes:
        - {to: default, via: 10.9.0.1}
      wakeonlan: true
      mtu: 9000
    eth1: {dhcp4: true}
  vlans:
    v5: {id: 5, link: eth1}
"""
BRIDGED = """\
# the host's network
network:
  version: 2
  ethernets:
    # uplink to switch 3
    eth0:
      match: {macaddress: "52:54:00:aa:00:11"}   # card in slot 1
      set-name: eth0
      dhcp4: false
      dhcp6: false
      accept-ra: false
      link-local: []

      wakeonlan: true
      mtu: 9000
    eth1: {dhcp4: true}
  bridges:
    br0:
      interfaces: [eth0]
      macaddress: "52:54:00:aa:00:11"
      mtu: 9000
      parameters: {stp: false, forward-delay: 0}
      # the office
      addresses:
      - 10.9.0.11/24   # main
      - "2001:db8:9::11/64"
        # - 10.9.0.12/24
      # way out
      routes:
        - {to: default, via: 10.9.0.1}
  vlans:
    v5: {id: 5, link: eth1}
"""


def test_settings_move_with_their_comments_and_nothing_else_changes(tmp_path: Path) -> None:
    assert bridged(host(tmp_path, {"50.yaml": COMMENTED})) == {FILE: BRIDGED}


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    assert bridged(host(tmp_path, {"50.yaml": BRIDGED})) == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '{"network": {"version": 2, "ethernets": {"eth0": {"dhcp4": true, "mtu": 1400}}}}',
            (
                '{"network": {"version": 2, "ethernets": {"eth0": {PORT, "mtu": 1400}}, '
                'bridges: {br0: {HEAD, mtu: 1400, STP, "dhcp4": true}}}}'
            ),
        ),
        (
            "network: {ethernets: {eth0: {mtu: 1400, dhcp4: yes}}, bridges: {br9: {dhcp4: no}}}",
            (
                "network: {ethernets: {eth0: {mtu: 1400, PORT}}, "
                "bridges: {br9: {dhcp4: no}, br0: {HEAD, mtu: 1400, STP, dhcp4: yes}}}"
            ),
        ),
        (
            "network:\n  bridges: {}  # none yet\n  ethernets:\n    eth0: {}",
            (
                "network:\n  bridges:  # none yet\n    br0:\n      HEAD_\n      mtu: 1500\n      STP\n"
                "  ethernets:\n    eth0: {PORT}"
            ),
        ),
        (
            "network:\r\n    ethernets:\r\n        eth0:\r\n            dhcp4: true",
            (
                "network:\r\n    ethernets:\r\n        eth0:\r\n            PORT_\r\n"
                "    bridges:\r\n        br0:\r\n            HEAD_\r\n            STP\r\n            dhcp4: true"
            ),
        ),
        (
            "network:\n ethernets:\n  eth0: {dhcp4: true,\n         optional: true,\n         mtu: 1400}\n",
            (
                "network:\n ethernets:\n  eth0: {PORT,\n         optional: true,\n         mtu: 1400}\n"
                " bridges:\n  br0:\n    HEAD_\n    mtu: 1400\n    STP\n    dhcp4: true\n    optional: true\n"
            ),
        ),
    ],
)
def test_each_way_of_writing_is_kept(tmp_path: Path, before: str, after: str) -> None:
    found = bridged(host(tmp_path, {"50.yaml": before}))[FILE]
    assert found == _written_out(after)


def test_two_files_each_keep_what_is_theirs(tmp_path: Path) -> None:
    files = {
        "10-base.yaml": "network:\n  ethernets:\n    eth0:\n      dhcp4: true   # for now\n",
        "20-eth1.yaml": "network: {ethernets: {eth1: {dhcp4: true}}}\n",
        "90-static.yaml": (
            "network:\n  ethernets:\n    eth0:\n      dhcp4: no\n      addresses: [10.9.0.11/24]\n      mtu: 9000\n"
        ),
    }
    found = bridged(host(tmp_path, files))
    assert {path: means(text)["network"] for path, text in found.items()} == {
        "/etc/netplan/10-base.yaml": {
            "ethernets": {"eth0": {"dhcp4": "false", "dhcp6": "false", "accept-ra": "false", "link-local": []}},
            "bridges": {
                "br0": {
                    "interfaces": ["eth0"],
                    "macaddress": MAC,
                    "mtu": "9000",
                    "parameters": {"stp": "false", "forward-delay": "0"},
                    "dhcp4": "true",
                }
            },
        },
        "/etc/netplan/90-static.yaml": {
            "ethernets": {"eth0": {"mtu": "9000"}},
            "bridges": {"br0": {"dhcp4": "no", "addresses": ["10.9.0.11/24"]}},
        },
    }
    assert "dhcp4: true   # for now" in found["/etc/netplan/10-base.yaml"]


def test_package_file_is_hidden_by_one_in_etc(tmp_path: Path) -> None:
    system = host(tmp_path, {"/lib/netplan/00-vendor.yaml": "network: {ethernets: {eth0: {dhcp4: true}}}\n"})
    assert list(bridged(system)) == ["/etc/netplan/00-vendor.yaml"]


@pytest.mark.parametrize(("section", "link"), [("bonds", "bond0"), ("vlans", "eth1.5")])
def test_bond_and_vlan_are_ports_too(tmp_path: Path, section: str, link: str) -> None:
    own = {"bonds": "interfaces: [eth1]", "vlans": "id: 5\n      link: eth1"}[section]
    text = f"network:\n  ethernets:\n    eth1: {{}}\n  {section}:\n    {link}:\n      {own}\n      dhcp4: true\n"
    network: Any = means(bridged(host(tmp_path, {"50.yaml": text}, link), link)[FILE])["network"]
    assert network["bridges"]["br0"]["dhcp4"] == "true"
    assert network["bridges"]["br0"]["interfaces"] == [link]
    assert own.split(":")[0] in network[section][link]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("  renderer: NetworkManager\n  ethernets:\n    eth0: {dhcp4: true}\n", None),
        ("  renderer: NetworkManager\n  ethernets:\n    eth0: {dhcp4: true, renderer: networkd}\n", "networkd"),
        ("  ethernets:\n    renderer: NetworkManager\n    eth0: {dhcp4: true}\n", "NetworkManager"),
    ],
)
def test_bridge_is_made_by_the_daemon_of_its_port(tmp_path: Path, where: str, said: str | None) -> None:
    network: Any = means(bridged(host(tmp_path, {"50.yaml": f"network:\n{where}"}))[FILE])["network"]
    assert network["bridges"]["br0"].get("renderer") == said


@pytest.mark.parametrize(
    ("own", "mtu"),
    [
        ("addresses: [10.9.0.11/24]", "1500"),
        ("addresses: [10.9.0.11/24], mtu: 9000", "9000"),
        ("dhcp4: true", None),  # the DHCP server may say it
        ("dhcp4: true, dhcp4-overrides: {use-mtu: false}", "1500"),
    ],
)
def test_mtu_is_pinned_where_no_lease_says_it(tmp_path: Path, own: str, mtu: str | None) -> None:
    system = host(tmp_path, {"50.yaml": f"network: {{ethernets: {{eth0: {{{own}}}}}}}\n"})
    network: Any = means(bridged(system)[FILE])["network"]
    assert network["bridges"]["br0"].get("mtu") == mtu


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("network:\n  ethernets:\n    a: &x {dhcp4: true}\n    eth0: *x\n", r"50.yaml:4:5: eth0 is an alias"),
        (
            "network:\n  ethernets:\n    eth0: &x\n      dhcp4: true\n    eth1: *x\n",
            r"50.yaml:3:11: an anchor ties settings together",
        ),
        (
            (
                "network:\n  ethernets:\n    eth0:\n      nameservers: &dns {addresses: [1.1.1.1]}\n"
                "    eth1:\n      nameservers: *dns\n"
            ),
            r"50.yaml:4:20: an anchor ties",
        ),
        (
            "network:\n  ethernets:\n    eth0:\n      dhcp4: true  # a\n  bridges: {br9: {dhcp4: true}}\n",
            r"50.yaml:4:7: is in block style",
        ),
        ("network: {ethernets: {eth0: {mtu: 1400, dhcp4: true, # a\n dhcp6: true}}}\n", "expected a comma"),
        ("network:\n  ethernets:\n    lan: {match: {name: 'eth*'}, dhcp4: true}\n", r"50.yaml:3:5: lan means eth1 too"),
        ("network:\n  ethernets:\n    eth0: {}\n    lan: {match: {name: 'eth0'}}\n", r"is meant by eth0 .*, lan "),
        ("network:\n  ethernets:\n    eth0: {dhcp4: yes}\n    eth0: {dhcp6: yes}\n", "defined twice in one file"),
        ("network:\n  wifis:\n    eth0: {dhcp4: true}\n", "is one of wifis"),
        (
            "network:\n  ethernets:\n    eth0: {}\n  bonds: {b: {interfaces: [eth0]}}\n",
            "4:28: eth0 is a port of b already",
        ),
        ("network:\n  ethernets:\n    eth0: {}\n  bridges: {br0: {}}\n", "4:13: defines br0 already"),
        (
            (
                "network:\n  ethernets:\n    eth0:\n      networkmanager:\n        passthrough:\n"
                "          ipv4.dns-search: x\n"
            ),
            "50.yaml:6:11: ipv4.dns-search is NetworkManager's own",
        ),
        ("network:\n\tethernets: {}\n", r"50.yaml:2:1: is no YAML"),
        ("network:\n  ethernets:\n    eth0: {openvswitch: {}}\n", "belongs to Open vSwitch"),
    ],
)
def test_what_cannot_be_moved_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    system = host(tmp_path, {"50.yaml": text}, "eth0", "eth1")
    with pytest.raises((NotSupportedError, BusyError), match=said):
        bridged(system)


def test_pattern_that_would_take_the_bridge_too_is_refused(tmp_path: Path) -> None:
    system = host(tmp_path, {"50.yaml": "network: {ethernets: {all: {match: {name: '*'}, dhcp4: true}}}\n"})
    with pytest.raises(NotSupportedError, match="all would mean br0 too"):
        bridged(system)


def test_file_of_the_boot_image_is_refused(tmp_path: Path) -> None:
    system = host(tmp_path, {"/run/netplan/eth0.yaml": "network: {ethernets: {eth0: {dhcp4: true}}}\n"})
    with pytest.raises(NotSupportedError, match="written anew at each start"):
        bridged(system)


def test_anchor_that_stays_in_reach_may_move(tmp_path: Path) -> None:
    text = (
        "network:\n  ethernets:\n    eth1: &dhcp {dhcp4: true}\n    eth2: *dhcp\n"
        "    eth0:\n      nameservers: &dns {addresses: [1.1.1.1]}\n  vlans:\n"
        "    v5: {id: 5, link: eth1, nameservers: *dns}\n"
    )
    before: Any = means(text)["network"]
    after: Any = means(bridged(host(tmp_path, {"50.yaml": text}))[FILE])["network"]
    assert after["vlans"] == before["vlans"]
    assert after["bridges"]["br0"]["nameservers"] == before["ethernets"]["eth0"]["nameservers"]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_the_file_looks_like_all_of_it_is_there_afterwards(seed: int) -> None:
    text = document(seed)
    with tempfile.TemporaryDirectory() as place:
        system = host(Path(place), {"50.yaml": text}, "eth0", "eth1")
        try:
            after = bridged(system)[FILE]
        except VirtkitError as error:
            assert "in block style" in str(error), text  # noqa: PT017  the one reason that these files may have
            return
        _same_but_the_move(text, after)
        _no_byte_lost(text, after)
        write(system, {FILE: after})
        assert bridged(system) == {}
        back = released(system).get(FILE, after)
        assert _settled(means(back)) == _settled(means(text))


def _same_but_the_move(before: str, after: str) -> None:
    """PyYAML reads both."""
    old, new = _network(before), _network(after)
    had, kept, has = old["ethernets"].pop("eth0"), new["ethernets"].pop("eth0"), new["bridges"].pop("br0")
    if not new["bridges"] and "bridges" not in old:
        del new["bridges"]
    assert old == new
    nothing = {"dhcp4": "false", "dhcp6": "false", "accept-ra": "false", "link-local": []}
    layer3 = {key: value for key, value in had.items() if key in LAYER3}
    shut = {key: value for key, value in kept.items() if key in LAYER3}
    assert {key: _off(value) for key, value in shut.items()} == {key: _off(value) for key, value in nothing.items()}
    assert {key: value for key, value in had.items() if key not in LAYER3} == {
        key: value for key, value in kept.items() if key not in LAYER3
    }
    moved = {key: value for key, value in has.items() if key in LAYER3}
    assert {**layer3, **moved} == layer3
    assert all(_off(value) for key, value in layer3.items() if key not in moved)
    assert has["interfaces"] == ["eth0"]


def _no_byte_lost(before: str, after: str) -> None:
    """Each line with a comment, and each setting, is there as often as it was; lines of our own come on top."""
    flow = re.compile(r"eth0: \{|ethernets: \{|bridges: \{\}")
    lines = Counter(line.strip() for line in before.splitlines() if line.strip() and not flow.search(line))
    missing = lines - Counter(line.strip() for line in after.splitlines())
    assert not missing, (before, after)


def _network(text: str) -> Any:
    return means(text)["network"]


def _off(value: object) -> bool:
    return value == [] or str(value).lower() in {"false", "off", "no", "n"}


def _settled(tree: dict[str, Any]) -> dict[str, Any]:
    """Without what says that there is nothing: it may be said or not."""
    own = tree["network"]["ethernets"]["eth0"]
    quiet = {key for key, value in own.items() if key in {"dhcp4", "dhcp6"} and _off(value)}
    tree["network"]["ethernets"]["eth0"] = {key: value for key, value in own.items() if key not in quiet}
    return tree


def _written_out(text: str) -> str:
    port = ["dhcp4: false", "dhcp6: false", "accept-ra: false", "link-local: []"]
    head = ["interfaces: [eth0]", f'macaddress: "{MAC}"']
    indent = re.compile(r"^( *)(PORT|HEAD)_(\r?)$", re.MULTILINE)
    words: Mapping[str, list[str]] = {"PORT": port, "HEAD": head}
    text = indent.sub(lambda found: f"{found[3]}\n".join(found[1] + word for word in words[found[2]]) + found[3], text)
    text = text.replace("PORT", ", ".join(port)).replace("HEAD", ", ".join(head))
    return text.replace("STP", "parameters: {stp: false, forward-delay: 0}")
