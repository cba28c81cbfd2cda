"""Rules of packet filters that name the link: they say nothing of the bridge."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import CommandError, NotFoundError
from virtkit.net.ties import iptables, nftables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.system import System
    from virtkit.net.model import Link
    from virtkit.net.ties.rules import Rule

PROGRAMS = {"ip": "iptables", "ip6": "ip6tables"}  # by nft's name for the family
ZONES = ("/etc/firewalld/zones", "/usr/lib/firewalld/zones")
MOST = 20  # rules that are told with their text


def found(system: System, link: Link, target: str) -> Iterator[str]:
    rules = list(_rules(system, link.name, target))
    if rules:
        yield f"packet filters name {link.name}, and say nothing of {target}: what lets you in has to be there before"
    yield from (_told(rule, target) for rule in rules[:MOST])
    if len(rules) > MOST:
        search = f"grep -w {link.name}"
        yield f"and {len(rules) - MOST} more: nft list ruleset | {search}; iptables-save | {search}"
    yield from _zone(system, link.name, target)


def _rules(system: System, name: str, target: str) -> Iterator[Rule]:
    """Of iptables' tables in nftables, iptables itself is asked."""
    others = set[tuple[str, str]]()
    for family, program in PROGRAMS.items():
        saved = _said(system, [f"{program}-save"]).splitlines()
        yield from iptables.naming(program, saved, name, target)
        if not saved or iptables.NFTABLES in saved[0]:
            others |= {(family, table) for table in iptables.tables(saved)}
            legacy = _said(system, [f"{program}-legacy-save"]).splitlines()
            yield from iptables.naming(f"{program}-legacy", legacy, name, target)
    yield from nftables.naming(_said(system, ["nft", "-s", "-a", "list", "ruleset"]), name, target, others)


def _told(rule: Rule, target: str) -> str:
    if rule.excludes:
        return f"{rule.shown}: it will be about {target} too, change it before"
    if rule.maker:
        return f"{rule.shown} (made by {rule.maker}, which has to be told of {target})"
    return f"{rule.shown}; for {target}: {rule.command}" if rule.command else rule.shown


def _zone(system: System, name: str, target: str) -> Iterator[str]:
    """Of the running firewall the bridge is put into the port's zone; here it is about the next start."""
    for folder in ZONES:
        for file in system.names(folder):
            if re.search(rf"<interface\s+name=[\"']{re.escape(name)}[\"']", system.read_or(f"{folder}/{file}", "")):
                command = f"firewall-cmd --permanent --zone={file.removesuffix('.xml')} --change-interface={target}"
                yield f"{folder}/{file} names {name}: so that {target} is in this zone after the next start: {command}"


def _said(system: System, command: Sequence[str]) -> str:
    """Empty where the program is not installed, or the kernel has nothing for it."""
    try:
        return system.run(command, timeout=10).stdout
    except (NotFoundError, CommandError):
        return ""
