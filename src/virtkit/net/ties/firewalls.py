"""Rules of packet filters that name the link: they say nothing of the bridge.

iptables over nftables is in the ruleset that nft(8) lists; where that is not installed, iptables-save(8) lists its own.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from virtkit.core.errors import CommandError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.plan import Json
    from virtkit.core.system import System
    from virtkit.net.model import Link

MAKERS = {
    "firewalld": "firewalld",
    "docker": "Docker",
    "libvirt": "libvirt",
    "ufw": "ufw",
    "f2b": "fail2ban",
    "cali": "Calico",
    "kube": "Kubernetes",
}  # by what their tables' and chains' names begin with
ZONES = ("/etc/firewalld/zones", "/usr/lib/firewalld/zones")


def found(system: System, link: Link, target: str) -> Iterator[str]:
    new = bool(_said(system, ["nft", "--version"]))
    rules = [*_nftables(system, link.name), *_iptables(system, link.name, "-legacy" if new else "")]
    if rules:
        yield f"packet filter rules that name {link.name} say nothing of {target}: {', '.join(rules)}"
        yield f"if one of them lets you in or others out, put the same rule for {target} beside it before"
    yield from _zone(system, link.name, target)


def _nftables(system: System, name: str) -> Iterator[str]:
    text = _said(system, ["nft", "-j", "list", "ruleset"])
    listed = json.loads(text) if text else {}
    for entry in listed.get("nftables", []):
        rule = entry.get("rule", {})
        if _names(rule.get("expr"), name):
            where = f"{rule['family']} {rule['table']} {rule['chain']}"
            yield f"nft {where} handle {rule['handle']}{_maker(rule['table'], rule['chain'])}"
        table = entry.get("flowtable") or entry.get("set") or {}
        if _names(table.get("dev"), name) or _names(table.get("elem"), name):
            yield f"nft {table['family']} {table['table']} {table['name']}{_maker(table['table'])}"


def _iptables(system: System, name: str, back_end: str) -> Iterator[str]:
    naming = re.compile(rf"^-A (\S+) .*(?:-i|-o|--physdev-in|--physdev-out) {re.escape(name)}(?: |$)")
    for program in ("iptables", "ip6tables"):
        table = ""
        for line in _said(system, [f"{program}{back_end}-save"]).splitlines():
            table = line[1:] if line.startswith("*") else table
            if matched := naming.match(line):
                yield f"{program} {table} {matched[1]}{_maker(matched[1])}"


def _zone(system: System, name: str, target: str) -> Iterator[str]:
    """Of the running firewall the bridge is put into the port's zone; here it is about the next start."""
    for folder in ZONES:
        for file in system.names(folder):
            if re.search(rf"<interface\s+name=[\"']{re.escape(name)}[\"']", system.read_or(f"{folder}/{file}", "")):
                command = f"firewall-cmd --permanent --zone={file.removesuffix('.xml')} --change-interface={target}"
                yield f"{folder}/{file} names {name}: so that {target} is in this zone after the next start: {command}"


def _names(value: Json, name: str) -> bool:
    """Whether ``name`` stands anywhere in the expression by itself."""
    if isinstance(value, dict):
        return any(_names(inner, name) for inner in value.values())
    if isinstance(value, list):
        return any(_names(inner, name) for inner in value)
    return value == name


def _maker(*names: str) -> str:
    makers = [maker for start, maker in MAKERS.items() if any(name.lower().startswith(start) for name in names)]
    return f" (of {makers[0]})" if makers else ""


def _said(system: System, command: Sequence[str]) -> str:
    """Empty where the program is not installed, or the kernel has nothing for it."""
    try:
        return system.run(command, timeout=10).stdout
    except (NotFoundError, CommandError):
        return ""
