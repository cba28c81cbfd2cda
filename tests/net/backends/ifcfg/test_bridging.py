"""The pair of files says of the bridge what the one said of the link, and keeps all that it does not understand."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import others
from virtkit.core.errors import BusyError, NotSupportedError, VirtkitError
from virtkit.core.system import System
from virtkit.net.backend import Wish
from virtkit.net.backends.ifcfg import bridging
from virtkit.net.backends.ifcfg.folder import SCRIPTS, Folder
from virtkit.net.backends.ifcfg.keys import LAYER3
from virtkit.net.backends.ifcfg.shell import read
from virtkit.net.standing import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.backend import File

MAC = "52:54:00:aa:00:11"
WISH = Wish("br0", "eth0", MAC, 1500, Side("eth0"))
# "KVM, part two" has them so, word for word.
ARTICLE_PORT = "BOOTPROTO=static\nDEVICE=eth0\nONBOOT=yes\nBRIDGE=br0\nNM_CONTROLLED=no\n"
ARTICLE_BRIDGE = """TYPE=Bridge
BOOTPROTO=static
DEFROUTE=yes
PEERDNS=yes
PEERROUTES=yes
IPV4_FAILURE_FATAL=no
IPV6INIT=yes
IPV6_AUTOCONF=yes
IPV6_DEFROUTE=yes
IPV6_PEERDNS=yes
IPV6_PEERROUTES=yes
IPV6_FAILURE_FATAL=no
NAME=br0
DEVICE=br0
ONBOOT=yes
IPADDR=192.168.10.128
NETMASK=255.255.255.0
GATEWAY=192.168.10.2
DNS1=192.168.10.2
"""
LAYER3_LINES = ["IPADDR=10.9.0.11", "PREFIX=24", "IPADDR1='10.9.0.12'", "NETMASK1=255.255.0.0", "GATEWAY=10.9.0.1"]
LAYER3_LINES += ["DNS1=10.9.0.1 # ours", "DOMAIN=example.net", "DEFROUTE=yes", "IPV6INIT=yes", "IPV6_PRIVACY=rfc3041"]
LAYER3_LINES += ['IPV6ADDR_SECONDARIES="2001:db8::5/64 2001:db8::6/64"', "IPV6_DEFAULTGW=2001:db8::1", "ZONE=internal"]
LAYER3_LINES += ["DHCP_HOSTNAME=kvm1", "PEERDNS=no", "GATEWAYDEV=eth0", "IPV6_AUTOCONF=no", "METRIC=100"]
OTHER_LINES = ["TYPE=Ethernet", "HWADDR=52:54:00:AA:00:11", "UUID=5f-1", "NAME='System eth0'", "USERCTL=no", "MTU=9000"]
OTHER_LINES += ["# a comment", "", 'ETHTOOL_OPTS="-K ${DEVICE} gro off"', "X_UNKNOWN=$(date)", "not an assignment"]
protocols = st.sampled_from(["BOOTPROTO=none", "BOOTPROTO=dhcp", "BOOTPROTO='static' # x", "# none"])


@st.composite
def texts(draw: st.DrawFn) -> str:
    lines = draw(st.lists(st.sampled_from([*LAYER3_LINES, *OTHER_LINES]), unique=True))
    lines = draw(st.permutations(["DEVICE=eth0", draw(protocols), *lines]))
    return "\n".join(lines) + draw(st.sampled_from(["", "\n"]))


@contextmanager
def folder(files: dict[str, str]) -> Iterator[Folder]:
    with tempfile.TemporaryDirectory() as root:
        place = Path(root) / SCRIPTS.lstrip("/")
        place.mkdir(parents=True)
        for name, text in files.items():
            target = place / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode("utf-8", "surrogateescape"))
        yield Folder(System(Path(root)))


def by_name(files: tuple[File, ...]) -> dict[str, str | None]:
    return {file.path.rpartition("/")[2]: file.text for file in files}


def lay(there: Folder, files: tuple[File, ...]) -> Folder:
    """As the change leaves the directory."""
    for file in files:
        place = there.system.path(file.path)
        if file.text is None:
            place.unlink()
        else:
            place.write_bytes(file.text.encode("utf-8", "surrogateescape"))
    return Folder(there.system)


def settings(text: str | None) -> dict[str, str]:
    return {line.key: line.raw.strip() for line in read("f", text or "").lines if line.key}


@given(texts())
def test_layer_3_moves_and_everything_else_stays_byte_for_byte(text: str) -> None:
    with folder({"ifcfg-eth0": text}) as there:
        new = by_name(bridging.bridged(there, WISH))
    was, port, bridge = settings(text), settings(new["ifcfg-eth0"]), settings(new["ifcfg-br0"])
    assert (port["BRIDGE"], port["BOOTPROTO"], port["DEVICE"]) == ("BRIDGE=br0", "BOOTPROTO=none", "DEVICE=eth0")
    expected = {"TYPE": "TYPE=Bridge", "STP": "STP=no", "DELAY": "DELAY=0", "MACADDR": f"MACADDR={MAC}"}
    assert expected.items() <= bridge.items()
    for key, raw in was.items():
        if key in {"BOOTPROTO", "DEVICE"}:
            continue
        assert (key in bridge) == (bool(LAYER3.fullmatch(key)) or key in {"TYPE", "USERCTL", "MTU"})
        if LAYER3.fullmatch(key):
            assert bridge[key] == raw.replace("GATEWAYDEV=eth0", "GATEWAYDEV=br0")
            assert key not in port
    assert bridge.get("BOOTPROTO") == was.get("BOOTPROTO")
    kept = [line.raw.rstrip("\n") for line in read("f", text).lines if not LAYER3.fullmatch(line.key)]
    found = iter((new["ifcfg-eth0"] or "").splitlines())
    assert all(line in found for line in kept)


@given(texts())
def test_way_back_says_what_the_file_said(text: str) -> None:
    with folder({"ifcfg-eth0": text}) as there:
        bridged = lay(there, bridging.bridged(there, WISH))
        assert bridging.bridged(bridged, WISH) == ()
        back = by_name(bridging.released(bridged, "br0", "eth0"))
    assert back["ifcfg-br0"] is None
    assert settings(back["ifcfg-eth0"]) == settings(text)


def test_articles_pair_is_read_and_made_sound() -> None:
    with folder({"ifcfg-eth0": ARTICLE_PORT, "ifcfg-br0": ARTICLE_BRIDGE}) as there:
        new = bridging.bridged(there, WISH)
        (improved,) = new
        assert bridging.bridged(lay(there, new), WISH) == ()
    assert improved.path.endswith("/ifcfg-br0")
    assert improved.text == ARTICLE_BRIDGE + f"STP=no\nDELAY=0\nMACADDR={MAC}\n"


def test_pair_that_would_turn_stp_on_by_another_way_is_made_sound_too() -> None:
    wild = ARTICLE_BRIDGE + "STP=on\nDELAY=15\nPRIO=100\nBRIDGING_OPTS='stp_state=1 priority=8192 hash_max=1024'\n"
    with folder({"ifcfg-eth0": ARTICLE_PORT, "ifcfg-br0": wild}) as there:
        assert bridging.priority(read("f", wild)) == "8192"
        (improved,) = bridging.bridged(there, WISH)
    found = settings(improved.text)
    assert (found["STP"], found["DELAY"], found["PRIO"]) == ("STP=no", "DELAY=0", "PRIO=100")
    assert found["BRIDGING_OPTS"] == "BRIDGING_OPTS='priority=8192 hash_max=1024'"
    assert bridging.priority(read("f", "PRIO=100\n")) == "100"


def test_what_goes_by_the_links_name_goes_by_the_bridges() -> None:
    files = {
        "ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=none\nIPADDR=10.9.0.11\nPREFIX=24\n",
        "ifcfg-eth0:1": "DEVICE=eth0:1\nIPADDR=10.9.0.77\nPREFIX=24\n",
        "ifcfg-eth0-range0": "IPADDR_START=10.9.0.80\nIPADDR_END=10.9.0.82\nCLONENUM_START=5\n",
        "route-eth0": "# over eth0\n10.50.0.0/16 via 10.9.0.1 dev eth0\n",
        "route6-eth0": "2001:db8:f::/48 via 2001:db8:9::1\n",
        "rule-eth0": "from 10.9.0.11 table 100\n",
        "keys-eth0": "KEY=secret\n",
        "route-eth01": "10.51.0.0/16 dev eth01\n",
        "../network": "NETWORKING=yes\nGATEWAYDEV=eth0\n",
        "../static-routes-ipv6": "eth0 2001:db8:e::/48 2001:db8:9::2\neth01 2001:db8:d::/48\n",
    }
    with folder(files) as there:
        forth = bridging.bridged(there, WISH)
        new = by_name(forth)
        back = by_name(bridging.released(lay(there, forth), "br0", "eth0"))
    gone = {name for name, text in new.items() if text is None}
    assert gone == {"ifcfg-eth0:1", "ifcfg-eth0-range0", "route-eth0", "route6-eth0", "rule-eth0"}
    assert new["ifcfg-br0:1"] == "DEVICE=br0:1\nIPADDR=10.9.0.77\nPREFIX=24\n"
    assert new["ifcfg-br0-range0"] == files["ifcfg-eth0-range0"]
    assert new["route-br0"] == "# over eth0\n10.50.0.0/16 via 10.9.0.1 dev br0\n"
    assert (new["route6-br0"], new["rule-br0"]) == (files["route6-eth0"], files["rule-eth0"])
    assert new["network"] == "NETWORKING=yes\nGATEWAYDEV=br0\n"
    assert new["static-routes-ipv6"] == "br0 2001:db8:e::/48 2001:db8:9::2\neth01 2001:db8:d::/48\n"
    assert {"keys-eth0", "route-eth01"}.isdisjoint(new)
    for name in (*gone, "network", "static-routes-ipv6"):
        assert back[name] == files[name] if name in files else back[name] == files[f"../{name}"]


def test_spanning_tree_comes_with_its_delay_and_is_left_where_it_is_on() -> None:
    wish = Wish("br0", "eth0", MAC, 1500, Side("eth0"), forward_delay=15)
    with folder({"ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=dhcp\n"}) as there:
        new = by_name(bridging.bridged(there, wish))["ifcfg-br0"] or ""
    assert "STP=yes\nDELAY=15\n" in new
    files = {"ifcfg-eth0": "DEVICE=eth0\nBRIDGE=br0\n", "ifcfg-br0": new.replace("STP=yes", "STP=on")}
    with folder(files) as there:
        assert bridging.bridged(there, wish) == ()


def test_file_called_otherwise_is_found_by_its_device_and_its_routes_come_along() -> None:
    files = {"ifcfg-Wired": "DEVICE=eth0\nBOOTPROTO=dhcp\n", "route-Wired": "10.5.0.0/16 via 10.9.0.1\n"}
    with folder(files) as there:
        new = by_name(bridging.bridged(there, WISH))
    assert (new["route-Wired"], new["route-br0"]) == (None, files["route-Wired"])
    assert "BRIDGE=br0\n" in (new["ifcfg-Wired"] or "")


@pytest.mark.parametrize(
    ("port", "text"),
    [
        ("eth0.100", "DEVICE=eth0.100\nVLAN=yes\nIPADDR=10.1.0.2\nPREFIX=24\nBOOTPROTO=none\n"),
        ("bond0", 'DEVICE=bond0\nTYPE=Bond\nBONDING_OPTS="mode=802.3ad miimon=100"\nBOOTPROTO=dhcp\n'),
    ],
)
def test_vlan_and_bond_are_ports_and_what_is_below_is_not_touched(port: str, text: str) -> None:
    slave = "DEVICE=eth1\nMASTER=bond0\nSLAVE=yes\n"
    below = {"ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=none\n", "ifcfg-eth1": slave}
    with folder({f"ifcfg-{port}": text, **below}) as there:
        new = by_name(bridging.bridged(there, Wish("br0", port, MAC, 1500, Side(port))))
    assert set(new) == {f"ifcfg-{port}", "ifcfg-br0"}
    kept = [line for line in text.splitlines() if not LAYER3.fullmatch(line.partition("=")[0])]
    assert set((new[f"ifcfg-{port}"] or "").splitlines()) == {*kept, "BOOTPROTO=none", "BRIDGE=br0"}


def test_vlan_on_the_port_is_not_touched() -> None:
    files = {"ifcfg-eth0": "DEVICE=eth0\n", "ifcfg-eth0.7": "DEVICE=eth0.7\nVLAN=yes\nIPADDR=10.7.0.2\nPREFIX=24\n"}
    with folder(files) as there:
        assert set(by_name(bridging.bridged(there, WISH))) == {"ifcfg-eth0", "ifcfg-br0"}


def test_mtu_that_no_file_mentions_is_written_for_both() -> None:
    with folder({"ifcfg-eth0": "DEVICE=eth0\n"}) as there:
        new = by_name(bridging.bridged(there, Wish("br0", "eth0", MAC, 9000, Side("eth0"))))
    assert all(settings(text)["MTU"] == "MTU=9000" for text in new.values())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"ifcfg-eth0": "DEVICE=eth0\nMASTER=bond0\n"}, "MASTER is bond0: eth0 belongs to a bond already"),
        ({"ifcfg-eth0": "DEVICE=eth0\nBRIDGE=br7\n"}, "BRIDGE is br7: eth0 belongs to a bridge already"),
        ({"ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=ibft\n"}, "BOOTPROTO is ibft, expected none, static or dhcp"),
        ({"ifcfg-eth0": "DEVICE=eth0\nTYPE=OVSPort\n"}, "TYPE is OVSPort"),
        ({"ifcfg-eth0": "DEVICE=eth0\n", "ifcfg-br0": "DEVICE=br0\nTYPE=Bridge\n"}, "br0: is defined in"),
        ({"ifcfg-eth0": "DEVICE=eth0\n", "ifcfg-a": "DEVICE=eth0\n"}, "eth0: is defined by .*ifcfg-a and .*ifcfg-eth0"),
        ({"ifcfg-eth0": "DEVICE=eth0\n", "ifcfg-ppp0": "DEVICE=ppp0\nETH=eth0\n"}, r"ppp0 \(PPPoE\) stands on eth0"),
        ({"ifcfg-eth0": "DEVICE=eth0\nBOOTPROTO=$(proto)\n"}, r"BOOTPROTO is BOOTPROTO=\$\(proto\), expected a plain"),
        ({"ifcfg-eth0": "DEVICE=eth0\n", "route-eth0": "", "route-br0": ""}, "route-br0: is there already"),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_place(files: dict[str, str], said: str) -> None:
    with folder(files) as there, pytest.raises((NotSupportedError, BusyError), match=said):
        bridging.bridged(there, WISH)


def test_bridge_with_another_port_is_not_released() -> None:
    more = {"ifcfg-eth1": "DEVICE=eth1\nBRIDGE=br0\n"}
    pair = {"ifcfg-eth0": ARTICLE_PORT, "ifcfg-br0": ARTICLE_BRIDGE, **more}
    with folder(pair) as there, pytest.raises(BusyError, match="eth1 is a port of br0 too"):
        bridging.released(there, "br0", "eth0")


def test_files_of_others_are_bridged_or_refused_and_unknown_keys_survive(tmp_path: Path) -> None:
    """Each as the only file of a host, for the link that it says it is about."""
    bridged = 0
    for path in sorted(others.folder("ifcfg").glob("ifcfg-*")):
        name = path.name.removesuffix(".cexpected").removesuffix(".expected")
        place = tmp_path / "root" / SCRIPTS.lstrip("/")
        place.mkdir(parents=True)
        shutil.copyfile(path, place / name)
        there = Folder(System(tmp_path / "root"))
        link = there.device(name, there.files[name]) if name in there.files else "none"
        try:
            new = bridging.bridged(there, Wish("brX", link, MAC, 1500, Side(link)))
        except VirtkitError:
            continue
        finally:
            shutil.rmtree(tmp_path / "root")
        bridged += 1
        port = by_name(new)[name] or ""
        kept = [line.raw.rstrip("\n") for line in there.files[name].lines if not LAYER3.fullmatch(line.key)]
        assert all(line in port.splitlines() for line in kept if "\n" not in line), path.name
    assert bridged > 50
