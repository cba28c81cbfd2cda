"""What the real netplan makes of our files: nothing is otherwise but that the bridge has what the port had."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from net.netplan.samples import document, host, others_files, skip_without_data, wish
from virtkit.core.errors import BusyError, NotSupportedError
from virtkit.net.backends.netplan import BACKEND, bridging, configuration, opinion, rendering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System

pytestmark = pytest.mark.netns

MEANT = {"vf1": "enp1s16f2", "lan": "eth7"}  # definitions with a name of their own
STACKED = """\
network:
  renderer: {renderer}
  ethernets:
    eth0: {{}}
    eth1: {{}}
    eth2: {{}}
    lan:
      match: {{macaddress: "52:54:00:aa:00:11"}}
      set-name: eth7
      addresses: [10.9.0.11/24]
      wakeonlan: true
  bonds:
    bond0:
      interfaces: [eth1, eth2]
      parameters: {{mode: active-backup}}
      addresses: [10.9.1.11/24]
      routes: [{{to: default, via: 10.9.1.1, metric: 7}}]
  vlans:
    eth0.5:
      id: 5
      link: eth0
      dhcp6: true
      nameservers: {{addresses: [10.9.2.1]}}
      addresses: [10.9.2.11/24]
"""
WRAPPER = '#!/bin/sh\nshift\nLD_LIBRARY_PATH={0}/usr/lib/x86_64-linux-gnu exec {0}/usr/libexec/netplan/generate "$@"\n'
# Of a link that is no port and no bridge, or of every bridge: not of what moves.
OWN = re.compile(r"Bridge=|ConfigureWithoutCarrier=|LinkLocalAddressing=|IPv6AcceptRA=no|(id|type|interface-name)=|\[")
REASONS = r"/etc/netplan/50.yaml:\d+:\d+: .*(in block style|is a port of|is one of|means .* too|defines br0 already)"


@pytest.fixture(scope="module", autouse=True)
def netplan(daemons: Path) -> Iterator[None]:
    """The distribution's generator, without an installed netplan."""
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        program = Path(place) / "netplan"
        program.write_text(WRAPPER.format(daemons))
        program.chmod(0o755)
        patch.setenv("PATH", f"{place}:/usr/bin:/bin")
        shown = rendering.render(host(Path(place), {"50.yaml": "network: {ethernets: {eth0: {dhcp4: true}}}\n"}))
        assert (shown.problems, list(shown.files)) == ([], [f"{rendering.NETWORKD}/10-netplan-eth0.network"])
        yield


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_the_files_look_like_netplan_gives_the_bridge_what_the_port_had(seed: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        system = host(Path(place), {"50.yaml": document(seed)}, "eth0", "eth1")
        found = _rendered(system, "eth0")
        if found is None:
            return
        before, after = found
        assert _others(before) == _others(after)
        assert _layer3(before, "eth0") == _layer3(after, "br0")
        assert _layer3(after, "eth0") <= {("method", frozenset({"link-local"})), ("method", frozenset({"ignore"}))}


@pytest.mark.parametrize("renderer", ["networkd", "NetworkManager"])
@pytest.mark.parametrize("link", ["bond0", "eth0.5", "lan"])
def test_bonds_vlans_and_links_that_are_matched_are_ports_too(link: str, renderer: str, tmp_path: Path) -> None:
    system = host(tmp_path, {"50.yaml": STACKED.format(renderer=renderer)}, MEANT.get(link, link))
    found = _rendered(system, link)
    assert found is not None
    before, after = found
    assert _others(before, link) == _others(after, link)
    assert _layer3(before, link) == _layer3(after, "br0") != set()


@skip_without_data
@pytest.mark.parametrize("path", others_files(), ids=lambda path: path.stem)
def test_every_link_in_the_files_of_others_is_bridged_or_refused_with_the_reason(path: Path, tmp_path: Path) -> None:
    text = path.read_text()
    links = {part.id for part in configuration.read(host(tmp_path, {"50.yaml": text})).definitions()}
    assert links
    for number, link in enumerate(sorted(links)):
        system = host(tmp_path / str(number), {"50.yaml": text}, MEANT.get(link, link))
        before, after = _rendered(system, link) or ({}, {})
        assert _others(before, link) == _others(after, link)


def _rendered(system: System, name: str) -> tuple[dict[str, str], dict[str, str]] | None:
    """None: it was refused, for one of the reasons that there may be."""
    link = MEANT.get(name, name)
    owner = BACKEND.owner(system, link)
    assert owner is not None
    before = rendering.render(system)
    try:
        files = bridging.bridged(system, configuration.read(system), wish(link))
    except (NotSupportedError, BusyError) as error:
        assert re.match(REASONS, error.message), error.message  # noqa: PT017  others are faults
        return None
    after = rendering.render(system, files)
    if before.problems:
        return None
    assert after.problems == []
    assert not files or opinion.bridged(before.files, after.files, wish(link), name) == []
    return before.files, after.files


def _others(files: dict[str, str], link: str = "eth0") -> dict[str, str]:
    mine = re.compile(rf"netplan-({re.escape(link)}|br0)\.(network|netdev|nmconnection)$")
    return {path: text for path, text in files.items() if not mine.search(path)}


def _layer3(files: dict[str, str], link: str) -> set[tuple[str, frozenset[str]]]:
    """What either daemon gets about the link: key and words. A bridge's and a device's own settings are others."""
    found: set[tuple[str, frozenset[str]]] = set()
    for path, text in files.items():
        if re.search(rf"netplan-{link}\.(network|nmconnection)$", path):
            sections = re.split(r"^\[(.*)\]$", text, flags=re.MULTILINE)[1:]
            named = zip(sections[::2], sections[1::2], strict=True)
            apart = {"Match", "Link", "connection", "ethernet", "bridge", "match", "bond", "vlan"}
            lines = {line for name, body in named if name not in apart for line in body.split("\n") if line}
            pairs = [line.partition("=") for line in lines if not OWN.match(line)]
            found |= {(key, frozenset(re.split("[; ]", value)) - {""}) for key, _, value in pairs}
    return found
