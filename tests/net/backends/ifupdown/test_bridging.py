"""Rewritten files say of the bridge what they said of the link, and of the link only what is its hardware's."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import BusyError, NotSupportedError, VirtkitError
from virtkit.net.backend import Wish
from virtkit.net.backends.ifupdown import bridging
from virtkit.net.backends.ifupdown.bridging import DEBIAN, IFUPDOWN2
from virtkit.net.backends.ifupdown.syntax import Document, read
from virtkit.net.backends.ifupdown.tree import MAIN, Tree
from virtkit.net.standing import Side

MAC = "52:54:00:aa:00:11"
WISH = Wish("br0", "eth0", MAC, 1500, Side("eth0"))
Meaning: TypeAlias = "dict[str, list[tuple[str, str, Counter[str]]]]"

FIXED = ["address 10.9.0.11/24", "gateway 10.9.0.1", "dns-nameservers 10.9.0.1", "dns-search example.net", "metric 7"]
FIXED += ["mtu 1500", "hwaddress ether 52:54:00:aa:00:11", "up ip route add 10.0.0.0/8 via 10.9.0.2 dev eth0"]
FIXED += ["post-up ethtool -K $IFACE gro off", "pre-down echo $IFACE", "x-unknown-option keep  me", "ethernet-wol g"]
options = st.lists(st.sampled_from(FIXED), unique=True)
heads = st.sampled_from(["inet static", "inet6 static", "inet dhcp", "inet6 auto", "inet manual"])
stanzas = st.lists(st.tuples(heads, options), min_size=1, max_size=3, unique_by=lambda drawn: drawn[0])
OTHERS = "# other\nauto lo eth1\niface lo inet loopback\n\niface eth1 inet dhcp\n\tup echo \xe9 \\\n\t  eth0a\n"
selections = st.sampled_from(["auto eth0\n", "allow-hotplug eth0\n", "auto lo eth0 eth1\n", "auto /eth*\n"])


def tree(text: str) -> Tree:
    return Tree({MAIN: Document(MAIN, read(text))}, text)


def meaning(text: str) -> Meaning:
    found: Meaning = {}
    for stanza in Document(MAIN, read(text)).stanzas():
        held = Counter(" ".join(line.words) for _, line in stanza.options)
        found.setdefault(stanza.name, []).append((stanza.family, stanza.method, held))
    return found


def selected(text: str, keyword: str = "auto") -> list[str]:
    return [w for _, line in Document(MAIN, read(text)).selections() if line.keyword == keyword for w in line.words[1:]]


@st.composite
def files(draw: st.DrawFn) -> str:
    margin, gap = draw(st.sampled_from(["", "\t", "    "])), draw(st.sampled_from(["", "\n", "# why\n"]))
    text = draw(st.sampled_from(["", OTHERS])) + draw(selections)
    for head, lines in draw(stanzas):
        text += f"iface eth0 {head}\n" + "".join(f"{margin}{line}\n{gap}" for line in lines)
    text += draw(st.sampled_from(["", OTHERS if "# other" not in text else "# end"]))
    return text if draw(st.booleans()) else text.removesuffix("\n")


@given(files(), st.sampled_from([DEBIAN, IFUPDOWN2]))
def test_bridge_has_what_the_link_had(text: str, dialect: bridging.Dialect) -> None:
    new = bridging.bridged(tree(text), WISH, dialect)[MAIN]
    before, after = meaning(text), meaning(new)
    (port,) = after.pop("eth0")
    assert port[:2] == ("inet", "manual")
    bridge, was = after.pop("br0"), before.pop("eth0")
    assert [entry[:2] for entry in bridge] == [entry[:2] for entry in was]
    separator = "_" if dialect is DEBIAN else "-"
    made = {f"bridge{separator}{option}" for option in ("ports eth0", "stp off", "fd 0", "maxwait 0")}
    assert made | {f"{dialect.mac} {MAC}"} <= set(bridge[0][2])
    held = sum((entry[2] for entry in was), Counter[str]())
    mine = sum((entry[2] for entry in bridge), Counter[str]())
    for option in held:
        hardware = option.startswith(("hwaddress ether", "ethernet-", "post-up ethtool"))
        assert option.replace("dev eth0", "dev br0") in (port[2] if hardware else mine)
    assert after == before
    assert "br0" in selected(new)
    assert selected(new, "allow-hotplug") == selected(text, "allow-hotplug")


@given(files())
def test_bytes_that_are_not_ours_stay_in_their_order(text: str) -> None:
    """But for the link's own words and the lines that go up to the port, the old file can be read in the new one."""
    new = iter(bridging.bridged(tree(text), WISH, DEBIAN)[MAIN].splitlines())
    stays = [line for line in text.splitlines() if "eth0" not in line.replace("eth0a", "")]
    hardware = ("hwaddress", "ethernet-", "post-up ethtool")
    stays = [line for line in stays if line.strip() and not line.strip().startswith((*hardware, "mtu"))]
    for line in stays:
        assert line in new, line


@given(files())
def test_way_back_means_what_the_file_meant(text: str) -> None:
    there = bridging.bridged(tree(text), WISH, DEBIAN)[MAIN]
    back = bridging.released(tree(there), "br0", "eth0")[MAIN]
    was, now = meaning(text), meaning(back)
    assert "br0" not in now
    for found in (was, now):  # a hardware option may stand in another stanza of the same link
        found["eth0"] = [("", "", sum((entry[2] for entry in found["eth0"]), Counter()))]
    assert now == was
    assert sorted({*selected(back), *selected(back, "allow-hotplug")}) == sorted(
        {*selected(text), *selected(text, "allow-hotplug")}
    )


@given(files())
def test_second_time_changes_nothing(text: str) -> None:
    there = bridging.bridged(tree(text), WISH, DEBIAN)[MAIN]
    assert bridging.bridged(tree(there), WISH, DEBIAN) == {}


@given(st.text(), files())
def test_any_file_is_rewritten_or_refused(junk: str, text: str) -> None:
    mixed = text + "\n" + junk
    try:
        new = bridging.bridged(tree(mixed), WISH, DEBIAN).get(MAIN, mixed)
    except VirtkitError:
        return
    assert "iface br0" in new


def test_alias_follows_and_comes_up_after_its_bridge() -> None:
    text = "allow-hotplug eth0 eth0:1\niface eth0 inet dhcp\niface eth0:1 inet static\n address 10.9.0.77/24\n"
    new = bridging.bridged(tree(text), WISH, DEBIAN)[MAIN]
    assert (selected(new), selected(new, "allow-hotplug")) == (["br0", "br0:1"], ["eth0"])
    assert meaning(new)["br0:1"] == [("inet", "static", Counter(["address 10.9.0.77/24"]))]


def test_spanning_tree_comes_with_its_delay() -> None:
    wish = Wish("br0", "eth0", MAC, 1500, Side("eth0"), forward_delay=2)
    new = meaning(bridging.bridged(tree("auto eth0\niface eth0 inet dhcp\n"), wish, DEBIAN)[MAIN])
    assert set(new["br0"][0][2]) >= {"bridge_stp on", "bridge_fd 2"}


def test_mtu_that_no_file_mentions_is_written_for_both() -> None:
    wish = Wish("br0", "eth0", MAC, 9000, Side("eth0"))
    new = meaning(bridging.bridged(tree("auto eth0\niface eth0 inet dhcp\n"), wish, DEBIAN)[MAIN])
    assert all(new[name][0][2]["mtu 9000"] == 1 for name in ("eth0", "br0"))


def test_vlan_and_bond_stay_below_the_bridge() -> None:
    vlan = "auto eth0.5\niface eth0.5 inet static\n address 10.5.0.2/24\n vlan-raw-device eth0\n"
    wish = Wish("br0", "eth0.5", MAC, 1500, Side("eth0.5"))
    new = meaning(bridging.bridged(tree(vlan), wish, DEBIAN)[MAIN])
    assert set(new["eth0.5"][0][2]) == {"vlan-raw-device eth0"}
    bond = "auto bond0\niface bond0 inet static\n address 10.5.0.2/24\n bond-slaves eth0 eth1\n bond_mode 802.3ad\n"
    wish = Wish("br0", "bond0", MAC, 1500, Side("bond0"))
    new = meaning(bridging.bridged(tree(bond), wish, DEBIAN)[MAIN])
    assert set(new["bond0"][0][2]) == {"bond-slaves eth0 eth1", "bond_mode 802.3ad"}
    assert set(new["br0"][0][2]) >= {"address 10.5.0.2/24", "bridge_ports bond0"}


def test_vlan_on_the_port_is_not_touched() -> None:
    vlans = "auto eth0.7\niface eth0.7 inet dhcp\n up ip r add 10.7.0.0/16 dev eth0.7\n"
    vlans += "iface v8 inet dhcp\n vlan-raw-device eth0\n"
    new = bridging.bridged(tree(AUTO + vlans), WISH, DEBIAN)[MAIN]
    assert new.endswith(vlans)


AUTO = "auto eth0\niface eth0 inet dhcp\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("auto eth0\niface eth0 inet static inherits lan\n", r"interfaces:2: eth0 inherits"),
        (AUTO + "iface eth1 inet dhcp inherits eth0\n", r"interfaces:3: eth1 inherits eth0"),
        (AUTO + "mapping eth*\n script /bin/x\n", r"interfaces:3: a mapping \(eth\*\) decides what eth0 is"),
        (AUTO + "mapping br*\n script /bin/x\n", "decides what br0 is"),
        ("auto /eth*=lan\n" + AUTO, "makes a link another one"),
        (AUTO + "iface br7 inet dhcp\n bridge_ports eth0 eth1\n", "eth0 is a port of br7 already"),
        (
            AUTO + " bridge-access 310\n",
            "interfaces:3: bridge-access 310: eth0 is a bridge, or a",
        ),
        (AUTO + "iface br0 inet dhcp\n bridge_ports eth1\n", "br0 is a bridge over eth1 already"),
        (AUTO + "no-scripts br*\nno-scripts /br*\n", "a script makes the bridge"),
        ("auto eth0\niface eth0 inet ppp\n provider x\n", "method of eth0 is ppp"),
        (AUTO + " up /usr/local/bin/setup eth0\n", "interfaces:3: names eth0 in a command"),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises((NotSupportedError, BusyError), match=said):
        bridging.bridged(tree(text), WISH, DEBIAN)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("iface br0 inet dhcp\n bridge_ports eth0 eth1\n", "bridge_ports is eth0 eth1, expected eth0 alone"),
        ("iface br0 inet dhcp\n bridge_ports all\n", "bridge_ports is all"),
        ("iface eth0 inet dhcp\niface br0 inet dhcp\n bridge_ports eth0\n", "eth0 is dhcp, expected manual"),
        ("iface br0 inet dhcp\n bridge_ports eth0\n up ip link set br0 promisc on\n", "sets up br0 itself"),
    ],
)
def test_bridge_that_is_more_than_ours_is_not_released(text: str, said: str) -> None:
    with pytest.raises(NotSupportedError, match=said):
        bridging.released(tree(text), "br0", "eth0")
