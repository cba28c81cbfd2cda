"""Hosts with netplan's files, written by hand and by chance."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import yaml

from support import others
from virtkit.core.system import System
from virtkit.net.backend import Wish
from virtkit.net.backends.netplan import bridging, configuration, releasing
from virtkit.net.standing import Side

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAC = "52:54:00:aa:00:11"
LAYER3 = {
    "addresses": ["[10.9.0.11/24]", "\n- 10.9.0.11/24   # main\n- '2001:db8:9::11/64'\n"],
    "dhcp4": ["true", "yes", "no", "false"],
    "dhcp6": ["true", "off"],
    "dhcp4-overrides": ["{route-metric: 50, use-dns: false}", "\nroute-metric: 50\nuse-dns: false\n"],
    "routes": ["[{to: default, via: 10.9.0.1}]", "\n- to: 10.1.0.0/16\n  via: 10.9.0.2\n  metric: 7\n"],
    "nameservers": ["{addresses: [1.1.1.1], search: [a.example]}", "\naddresses:\n  - 1.1.1.1\n"],
    "routing-policy": ["[{from: 10.9.0.0/24, table: 100}]"],
    "accept-ra": ["false", "true"],
    "link-local": ["[]", "[ipv6]"],
    "critical": ["true"],
    "optional": ["true"],
}
LOWER = {"mtu": ["1400", "9000"], "wakeonlan": ["true"], "macaddress": ['"02:00:00:00:00:07"']}
COMMENTS = ["# office", "#addresses: [10.0.0.1/24]", "#   - {to: x}", "# 100% sure: {", "#"]


def others_files() -> list[Path]:
    place = others.find("netplan")
    return sorted(place.glob("*.yaml")) if place else []


def host(root: Path, files: Mapping[str, str], *links: str) -> System:
    """Paths below /etc/netplan, or absolute ones; each link has the MAC address that the bridge gets."""
    for name, text in files.items():
        path = root / (name.lstrip("/") if name.startswith("/") else f"etc/netplan/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        path.chmod(0o600)
    for number, link in enumerate(links or ("eth0",)):
        place = root / "sys/class/net" / link
        place.mkdir(parents=True, exist_ok=True)
        (place / "address").write_text(f"{MAC[:-1]}{1 + number}\n")
    (root / "usr/sbin").mkdir(parents=True, exist_ok=True)
    (root / "usr/sbin/netplan").touch()
    return System(root)


def wish(port: str = "eth0", bridge: str = "br0", mtu: int = 1500) -> Wish:
    return Wish(bridge, port, MAC, mtu, Side(port))


def bridged(system: System, port: str = "eth0", mtu: int = 1500) -> dict[str, str]:
    """Path -> new text."""
    files = bridging.bridged(system, configuration.read(system), wish(port, mtu=mtu))
    return {file.path: file.text for file in files if file.text is not None}


def released(system: System, port: str = "eth0") -> dict[str, str]:
    files = releasing.released(system, configuration.read(system), "br0", port)
    return {file.path: file.text for file in files if file.text is not None}


def write(system: System, texts: Mapping[str, str]) -> None:
    for path, text in texts.items():
        system.path(path).write_bytes(text.encode())


def means(text: str) -> dict[str, object]:
    """PyYAML's own reading: all scalars as text, aliases resolved."""
    found = yaml.load(text, Loader=yaml.BaseLoader)
    assert isinstance(found, dict)
    return found


def document(seed: int) -> str:
    """A file about eth0 and others, in one of the many ways in which people write it."""
    dice = random.Random(seed)
    step = dice.choice([2, 2, 4, 3])
    settings = {key: dice.choice(texts) for key, texts in {**LAYER3, **LOWER}.items() if dice.random() < 0.35}
    if "dhcp4-overrides" in settings:
        settings.setdefault("dhcp4", "true")
    names = list(settings) or ["wakeonlan"]
    dice.shuffle(names)
    own = [(name, settings.get(name, "true")) for name in names]
    if dice.random() < 0.2:
        own = [("match", "{name: eth0}"), ("set-name", "eth0"), *own] if dice.random() < 0.5 else own
    if dice.random() < 0.15:
        own.append(("renderer", dice.choice(["networkd", "NetworkManager"])))
    sections = [_ethernets(dice, step, own), *dice.sample(_others(step), dice.randrange(3))]
    dice.shuffle(sections)
    head = ["version: 2"] + (
        [f"renderer: {dice.choice(['networkd', 'NetworkManager'])}"] if dice.random() < 0.6 else []
    )
    lines = ["# The host's network", "network:", *_deeper(head, step)]
    for section in sections:
        lines += _deeper([*_comments(dice), *section], step)
    text = "\n".join(lines) + dice.choice(["\n", "", "\n\n"])
    return text.replace("\n", "\r\n") if dice.random() < 0.1 else text


def _ethernets(dice: random.Random, step: int, own: list[tuple[str, str]]) -> list[str]:
    flat = all("\n" not in value for _, value in own)
    if flat and dice.random() < 0.25:
        mine = [f"eth0: {{{', '.join(f'{name}: {value}' for name, value in own)}}}"]
        if dice.random() < 0.4:
            return [f"ethernets: {{{mine[0]}, eth1: {{dhcp4: true}}}}"]
    else:
        mine = ["eth0:" + dice.choice(["", "   # uplink"])]
        for name, value in own:
            mine += _deeper([*_comments(dice), *_setting(dice, name, value, step)], step)
    other = ["eth1:", " " * step + "addresses: [192.0.2.1/24]   # lab", " " * step + "# spare"]
    definitions = [mine, other] if dice.random() < 0.7 else [other, mine]
    return ["ethernets:", *_deeper([line for part in definitions for line in part], step)]


def _setting(dice: random.Random, name: str, value: str, step: int) -> list[str]:
    first, *further = value.strip("\n").split("\n") if value.startswith("\n") else [value]
    if not value.startswith("\n"):
        return [f"{name}: {value}" + dice.choice(["", "", "  # as agreed"])]
    inner = step if not first.startswith("-") else dice.choice([0, step])
    below = _deeper([first, *further], inner)
    return [f"{name}:", *below, *([" " * (step + 1) + "# - the old one"] if dice.random() < 0.2 else [])]


def _others(step: int) -> list[list[str]]:
    pad = " " * step
    return [
        ["vlans:", f"{pad}v7: {{id: 7, link: eth1, addresses: [198.51.100.1/24]}}"],
        ["bridges:", f"{pad}br9:", f"{pad}  interfaces: []", f"{pad}  dhcp4: true"],
        ["bridges: {}"],
    ][:2]


def _comments(dice: random.Random) -> list[str]:
    return dice.sample(COMMENTS, dice.choice([0, 0, 0, 1, 2]))


def _deeper(lines: list[str], by: int) -> list[str]:
    return [" " * by + line if line else line for line in lines]


skip_without_data = pytest.mark.skipif(not others_files(), reason=others.ABSENT)
