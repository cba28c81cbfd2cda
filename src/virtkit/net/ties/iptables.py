"""Rules that name the link in what iptables-save(8) says, whichever its back end."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from virtkit.net.ties.rules import Rule, maker

if TYPE_CHECKING:
    from collections.abc import Sequence

NFTABLES = "(nf_tables)"  # in the first line of what the back end of this name says


def tables(saved: Sequence[str]) -> list[str]:
    return [line[1:] for line in saved if line.startswith("*")]


def naming(program: str, saved: Sequence[str], link: str, target: str) -> list[Rule]:
    """The last one first: put in behind it, the same rule for ``target`` leaves the others their numbers."""
    way = re.compile(rf" (-i|-o|--physdev-in|--physdev-out) {re.escape(link)}(?= |$)")
    found, table, numbers = list[Rule](), "", Counter[str]()
    for line in saved:
        if line.startswith("*"):
            table, numbers = line[1:], Counter()
        if not line.startswith("-A "):
            continue
        chain = line.split(" ", 2)[1]
        numbers[chain] += 1
        if named := way.search(line):
            excludes = line[: named.start()].endswith(" !")
            same = way.sub(lambda option: f" {option[1]} {target}", line).split(" ", 2)[2]
            command = f"{program} -t {table} -I {chain} {numbers[chain] + 1} {same}"
            found.append(Rule(f"{program} -t {table} {line}", "" if excludes else command, maker(chain), excludes))
    return found[::-1]
