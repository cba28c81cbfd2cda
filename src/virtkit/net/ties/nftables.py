"""What names the link in ``nft -s -a list ruleset``: rules, elements of sets and maps, flow tables, chains of a link.

In the text, not in the JSON: it is what an administrator types.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from virtkit.net.ties.rules import Rule, maker

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

TABLE = re.compile(r"table (\w+) (\S+) \{")
PART = re.compile(r"\s+(chain|set|map|flowtable) (\S+) \{")
HANDLE = " # handle "
COMMENT = re.compile(r' comment "[^"]*"')
BY_INDEX = re.compile(r"\b(iif|oif)(?= )")  # of a link that has to be there when the rule is made


def naming(listed: str, link: str, target: str, others: Collection[tuple[str, str]]) -> Iterator[Rule]:
    """Without the tables ``others``, as family and name: iptables' own, which it lists and changes itself."""
    name = re.compile(rf'"{re.escape(link)}"')
    device = re.compile(rf"devices = .*(?<![\w.-]){re.escape(link)}(?![\w.-])")
    table, kind, place = ("", ""), "", ""
    for line in listed.splitlines():
        if head := TABLE.match(line):
            table = (head[1], head[2])
        elif head := PART.match(line):
            kind, place = head[1], f"{table[0]} {table[1]} {head[2]}"
        elif table not in others and (name.search(COMMENT.sub("", line)) or device.search(line)):
            text = line.strip().partition(HANDLE)[0]
            excludes = f'!= "{link}"' in text
            command = "" if excludes else _command(kind, place, line.strip(), link, target)
            yield Rule(f"nft {kind} {place}: {text}", command, maker(*place.split()[1:]), excludes)


def _command(kind: str, place: str, line: str, link: str, target: str) -> str:
    rule, _, handle = line.rpartition(HANDLE)
    if rule:
        same = BY_INDEX.sub(r"\1name", rule.replace(f'"{link}"', f'"{target}"'))
        return f"nft {shlex.quote(f'add rule {place} handle {handle} {same}')}"
    element = re.search(rf'"{re.escape(link)}"( : [^,}}]+?)?(?= *[,}}])', line) if kind in {"set", "map"} else None
    put = f'add element {place} {{ "{target}"{element[1] or ""} }}' if element else ""
    return f"nft {shlex.quote(put)}" if put else ""
