"""The grammar of interfaces(5), and every byte of a file: what is not changed is written back as it was read.

Held against ``get_line`` and ``read_interfaces_defn`` in ifupdown's config.c: a comment is never continued, white
space after a backslash ends the line, and what follows a ``source`` line belongs to no stanza.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

SPACE = " \t\r\v\f\n"  # isspace(3) in the C locale
SELECTING = ("auto", "no-auto-down", "no-scripts", "rename")  # and allow-*: a line of names, in no stanza
COMMANDS = ("pre-up", "up", "post-up", "down", "pre-down", "post-down")
FAMILIES = ("inet", "inet6", "ipx", "can")
_GAP = r"(?:\\\n|[ \t\r\v\f\n])"


@dataclass(frozen=True)
class Line:
    """A statement with all the physical lines that it is continued on, a comment, or an empty line."""

    raw: str
    number: int = 0  # of its first physical line, from 1

    @cached_property
    def text(self) -> str:
        """As ifupdown sees it; empty for comments."""
        joined = self.raw.lstrip(SPACE)
        return "" if joined.startswith("#") else joined.replace("\\\n", "").strip(SPACE)

    @cached_property
    def words(self) -> list[str]:
        return [word for word in re.split(f"[{SPACE}]+", self.text) if word]

    @property
    def keyword(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def rest(self) -> str:
        """All but the keyword: an option's value."""
        return self.text[len(self.keyword) :].lstrip(SPACE)

    def with_word(self, position: int, new: str) -> str:
        """The raw text with another word in the place of one; the space around it stays as it is."""
        word = r"(?:(?!\\\n)[^ \t\r\v\f\n])+"
        found = re.match(rf"{_GAP}*(?:{word}{_GAP}+){{{position}}}({word})", self.raw)
        if not found or found[1] != self.words[position]:
            raise NotSupportedError(f"line {self.number}: {self.words[position]} is continued on the next line")
        return self.raw[: found.start(1)] + new + self.raw[found.end(1) :]


def read(text: str) -> tuple[Line, ...]:
    """``"".join(line.raw for line in read(text)) == text``, whatever the text."""
    pieces = re.findall(r"[^\n]*\n|[^\n]+", text)
    lines, at = [], 0
    while at < len(pieces):
        first = at
        comment = pieces[at].lstrip(SPACE).startswith("#")
        at += 1
        while not comment and pieces[at - 1].endswith("\\\n") and at < len(pieces):
            at += 1
        lines.append(Line("".join(pieces[first:at]), first + 1))
    return tuple(lines)


def selects(line: Line) -> bool:
    return line.keyword in SELECTING or line.keyword.startswith("allow-")


@dataclass(frozen=True)
class Stanza:
    """``iface`` or ``mapping`` with its options, as places in a document."""

    path: str
    header: Line
    start: int  # of the header, in the document's lines
    options: tuple[tuple[int, Line], ...]

    @property
    def place(self) -> str:
        return f"{self.path}:{self.header.number}"

    @property
    def name(self) -> str:
        return self.header.words[1] if len(self.header.words) > 1 else ""

    @property
    def family(self) -> str:
        """Empty where it is left out, as ifupdown2 allows."""
        return next((word for word in self.header.words[2:3] if word in FAMILIES), "")

    @property
    def method(self) -> str:
        return next(iter(self.header.words[3:4]), "") if self.family else ""

    def values(self, *names: str) -> list[str]:
        """Of the options with one of these names; ``-`` and ``_`` are the same, as they are for the hooks."""
        wanted = {name.replace("_", "-") for name in names}
        return [line.rest for _, line in self.options if line.keyword.replace("_", "-") in wanted]


@dataclass(frozen=True)
class Document:
    path: str
    lines: tuple[Line, ...]

    def stanzas(self, keyword: str = "iface") -> Iterator[Stanza]:
        start, options = -1, list[tuple[int, Line]]()
        for index, line in enumerate((*self.lines, Line("auto"))):
            if not line.words:
                continue
            if not begins(line):
                options.append((index, line))
                continue
            if start >= 0 and self.lines[start].keyword == keyword:
                yield Stanza(self.path, self.lines[start], start, tuple(options))
            start, options = index, []

    def selections(self) -> Iterator[tuple[int, Line]]:
        return ((index, line) for index, line in enumerate(self.lines) if selects(line))


def begins(line: Line) -> bool:
    """A line that ends the stanza before it."""
    return selects(line) or line.keyword in ("iface", "mapping", "source") or line.keyword.startswith("source-dir")


def matches(word: str, name: str) -> bool:
    """A word of a selection: a name, or a pattern ``/glob`` or ``VARIABLE/glob`` for names."""
    pattern = word.partition("=")[0]
    return pattern == name or (pattern.startswith("/") and fnmatchcase(name, pattern[1:].partition("/")[0]))


def without(line: Line, name: str) -> Line:
    """The line goes with its last name."""
    if line.words[1:] == [name]:
        return Line("")
    marked = line.with_word(line.words.index(name), "\0")
    return Line(re.sub(r"(?:\\\n|[ \t])+\0", "", marked, count=1), line.number)
