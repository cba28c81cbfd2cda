from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.net.networkmanager import rendering
from virtkit.net.networkmanager.keyfile import parse
from virtkit.net.networkmanager.profiles import Profile
from virtkit.net.networkmanager.rendering import Identity, Names

PATH = "/etc/NetworkManager/system-connections/lan.nmconnection"
NAMES = Names("br0", "eth0", "52:54:00:aa:00:11", 1500, modern=True)
KNOWN = Identity((100, 100), "01:52:54:00:aa:00:11", "00:04:aa", "7", "::5054:ff:feaa:11")
HEAD = "[connection]\nid=lan\nuuid=1\ntype=ethernet\ninterface-name=eth0\n"
AUTO = f"{HEAD}\n[ipv4]\nmethod=auto\n\n[ipv6]\naddr-gen-mode=stable-privacy\nmethod=auto\n"


def _of(text: str) -> Profile:
    return Profile(PATH, parse(text))


def _bridge(text: str, identity: Identity = KNOWN, names: Names = NAMES) -> Profile:
    return Profile("br0", rendering.bridge_file(_of(text), names, identity, "2"))


def _port(text: str, names: Names = NAMES) -> Profile:
    return Profile(PATH, rendering.port_file(_of(text), names))


def test_bridge_has_all_of_layer_3_and_the_port_nothing() -> None:
    text = (
        "# mine\n[connection]\nid=lan\nuuid=1\ntype=ethernet\n# trusted\nzone=internal\n"
        "interface-name=eth0\n\n[ethernet]\n"
        "wake-on-lan=64\n\n[ethtool]\nfeature-gro=true\n\n[ipv4]\naddress1=10.9.0.11/24,10.9.0.1\ndns=10.9.0.1;\n"
        "# by hand\ndns-search=a.example;\nmethod=manual\nnever-heard-of=it\n\n[ipv6]\nmethod=disabled\n\n[proxy]\n"
    )
    above, below = _bridge(text), _port(text)
    for said in (
        "address1=10.9.0.11/24,10.9.0.1",
        "dns=10.9.0.1;",
        "# by hand\ndns-search=a.example;",
        "never-heard-of=it",
    ):
        assert said in above.file.text
        assert said not in below.file.text
    assert "# trusted\nzone=internal" in above.file.text
    assert [section.name for section in below.file.sections] == ["connection", "ethernet", "ethtool"]
    assert below.file.text.startswith("# mine\n[connection]")
    assert "controller=br0\nport-type=bridge\n" in below.file.text
    assert above.file.get("bridge", "stp") == "false"
    assert above.file.get("ethernet", "cloned-mac-address") == "52:54:00:AA:00:11"


def test_spanning_tree_comes_with_its_delay() -> None:
    above = _bridge(AUTO, names=Names("br0", "eth0", NAMES.mac, 1500, modern=True, forward_delay=2))
    assert "[bridge]\nforward-delay=2\nstp=true\n" in above.file.text


@pytest.mark.parametrize(
    ("modern", "said"), [(True, "controller=br0\nport-type=bridge"), (False, "master=br0\nslave-type=bridge")]
)
def test_words_are_those_of_the_daemons_version(said: str, *, modern: bool) -> None:
    names = Names("br0", "eth0", NAMES.mac, 9000, modern=modern)
    assert said in _port(AUTO, names).file.text
    bridge = _bridge(AUTO, names=names).file
    assert bridge.get("connection", "autoconnect-ports" if modern else "autoconnect-slaves") == "1"
    assert bridge.get("ethernet", "mtu") == "9000"


def test_what_depends_on_the_links_name_is_pinned_and_the_way_back_drops_the_pins() -> None:
    above, below = _bridge(AUTO), _port(AUTO)
    found = {key: above.file.get(section, key) for section, key in PINS}
    assert found == {
        "route-metric": "100",
        "dhcp-client-id": "01:52:54:00:aa:00:11",
        "dhcp-duid": "00:04:aa",
        "dhcp-iaid": "7",
        "addr-gen-mode": "eui64",
        "token": "::5054:ff:feaa:11",
    }
    assert rendering.released_file(below, above).text == AUTO


PINS = (
    ("ipv4", "route-metric"),
    ("ipv4", "dhcp-client-id"),
    ("ipv6", "dhcp-duid"),
    ("ipv6", "dhcp-iaid"),
    ("ipv6", "addr-gen-mode"),
    ("ipv6", "token"),
)


@pytest.mark.parametrize(
    "own",
    [
        "[ipv4]\nmethod=auto\nroute-metric=7\ndhcp-client-id=mac\n",
        "[ipv4]\nmethod=auto\nroute-metric=7\ndhcp-client-id=01:02\n",
    ],
)
def test_what_the_profile_says_itself_is_not_pinned(own: str) -> None:
    own += "\n[ipv6]\nmethod=auto\naddr-gen-mode=eui64\nroute-metric=9\ndhcp-duid=00:01\ndhcp-iaid=3\n"
    assert "virtkit: as" not in _bridge(f"{HEAD}\n{own}").file.text


def test_profile_without_sections_for_addresses_is_an_automatic_one() -> None:
    bridge = _bridge(HEAD).file
    assert (bridge.get("ipv4", "method"), bridge.get("ipv6", "method")) == ("auto", "auto")
    assert bridge.get("ipv4", "dhcp-client-id") == KNOWN.client_id


def test_layer_3_that_was_changed_on_the_bridge_goes_back_to_the_port() -> None:
    above, below = _bridge(AUTO), _port(AUTO)
    edited = above.file.text.replace("[ipv4]\nmethod=auto", "[ipv4]\nmethod=manual\naddress1=10.1.1.1/24")
    back = rendering.released_file(below, Profile("br0", parse(edited)))
    assert back.get("ipv4", "address1") == "10.1.1.1/24"
    assert not back.get("connection", "controller")


def test_profile_for_any_link_gets_one_beside_it_that_goes_first() -> None:
    general = (
        "[connection]\nid=any\ntype=ethernet\nautoconnect-priority=5\n\n[ethernet]\nmtu=9000\n\n[ipv4]\nmethod=auto\n"
    )
    old = _of(general)
    assert not old.bound
    new = Profile("x", rendering.new_port_file(old, NAMES, "3"))
    assert (new.link, new.controller, new.file.get("connection", "autoconnect-priority")) == ("eth0", "br0", "6")
    assert new.file.get("ethernet", "mtu") == "9000"
    assert not new.file.named("ipv4")


@pytest.mark.parametrize(
    "device",
    [
        "type=vlan\ninterface-name=eth0.7\n\n[vlan]\nid=7\nparent=eth0\nflags=1\n",
        "type=bond\ninterface-name=bond0\n\n[bond]\nmode=802.3ad\nmiimon=100\n",
    ],
)
def test_links_that_a_profile_makes_are_made_as_ever(device: str) -> None:
    """Their own ports name them by this UUID, too."""
    text = f"[connection]\nid=lan\nuuid=1\n{device}\n[ipv4]\nmethod=auto\n"
    assert _of(text).bound
    below = _port(text)
    made = device.partition("\n\n")[2]
    assert below.uuid == "1"
    assert made.strip() in below.file.text
    assert rendering.released_file(below, _bridge(text, Identity())).text == text


def test_origin_is_known_from_the_first_line() -> None:
    assert rendering.origin(_bridge(AUTO)) == PATH
    assert rendering.origin(Profile("br0", parse(HEAD))) == ""


def test_port_that_is_about_to_leave_holds_nothing_and_is_else_as_it_will_be() -> None:
    wired = AUTO.replace("[ipv4]\n", "[ethernet]\nwake-on-lan=64\n\n[ipv4]\nroute1=10.0.0.0/8,10.9.0.2\n")
    file = rendering.interim_port_file(rendering.released_file(_port(wired), _bridge(wired)), "eth0")
    assert file.get("connection", "id").startswith(rendering.INTERIM)
    assert not file.get("connection", "controller")
    assert file.get("ethernet", "wake-on-lan") == "64"
    said = [(part.name, entry.key, entry.value) for part in file.sections for entry in part.entries if entry.key]
    assert [entry for entry in said if entry[0] == "ipv4"] == [
        ("ipv4", "method", "disabled"),
        ("ipv4", "route-metric", "100"),
    ]
    assert file.get("ipv6", "method") == "link-local"


def test_bridge_that_is_about_to_go_is_not_made_again() -> None:
    dying = rendering.interim_dying_file(_bridge(AUTO).file)
    assert dying.get("connection", "autoconnect") == "false"
    assert dying.get("connection", "uuid") == _bridge(AUTO).uuid


LINES = st.lists(
    st.sampled_from(["", "# a", "x-unknown=1", "dns=1.1.1.1;", "may-fail=true", "route-metric=-1"]), max_size=5
)


@given(LINES, LINES, st.sampled_from(["auto", "manual", "disabled"]), st.sampled_from(["", "zone=work\n", "mdns=2\n"]))
def test_there_and_back_means_the_same(four: list[str], six: list[str], method: str, own: str) -> None:
    sections = (
        "\n".join([f"[{name}]", f"method={method}", *lines, ""]) for name, lines in (("ipv4", four), ("ipv6", six))
    )
    text = f"{HEAD}{own}\n" + "\n".join(sections)
    back = rendering.released_file(_port(text), _bridge(text))
    assert _meant(back.text) == _meant(text)
    assert [line for line in text.split("\n") if line and line not in back.text] == []


def _meant(text: str) -> set[tuple[str, str, str]]:
    file = parse(text)
    return {(part.name, e.key, file.get(part.name, e.key)) for part in file.sections for e in part.entries if e.key}
