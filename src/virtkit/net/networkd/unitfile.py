"""A file in the form of systemd's units (systemd.syntax(7)), line by line: what is not ours stays byte for byte.

A line that ends in a backslash goes on in the next one; comments in between are skipped. Keys may come many times.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COMMENTS = ("#", ";")
LINE = re.compile(r"[^\n]*\n|[^\n]+")  # other signs that end a line elsewhere do not here


class Entry(NamedTuple):
    """One assignment, section header, comment or empty line, with its line ends; joined they are the file."""

    raw: str
    section: str  # that it stands in; a header stands in the one it opens
    key: str = ""  # empty: no assignment
    value: str = ""

    @property
    def header(self) -> bool:
        return not self.key and self.raw.lstrip().startswith("[")


def parse(text: str) -> list[Entry]:
    """Never fails: a line that is none of these is kept, as systemd does, which tells and ignores it."""
    section, entries = "", []
    for raw, said in _logical_lines(text):
        if said.startswith("[") and said.endswith("]"):
            section = said[1:-1]
            entries.append(Entry(raw, section))
        elif said and not said.startswith(COMMENTS) and "=" in said:
            key, _, value = said.partition("=")
            entries.append(Entry(raw, section, key.strip(), value.strip()))
        else:
            entries.append(Entry(raw, section))
    return entries


def text_of(entries: Iterable[Entry]) -> str:
    return "".join(entry.raw for entry in entries)


def values(entries: Iterable[Entry], section: str, key: str) -> list[str]:
    """All words that the key was given; an empty assignment takes back those before it."""
    found: list[str] = []
    for entry in entries:
        if (entry.section, entry.key) == (section, key):
            found = [*found, *entry.value.split()] if entry.value else []
    return found


def _logical_lines(text: str) -> Iterator[tuple[str, str]]:
    """The bytes, and what they say in one line."""
    raw, said = "", ""
    for line in LINE.findall(text.removeprefix("\ufeff")):
        raw += line
        words = line.strip()
        if said and words.startswith(COMMENTS):
            continue
        if words.endswith("\\") and not words.startswith(COMMENTS):
            said += words[:-1] + " "
            continue
        yield raw, (said + words).strip()
        raw, said = "", ""
    if raw:
        yield raw, said.strip()
