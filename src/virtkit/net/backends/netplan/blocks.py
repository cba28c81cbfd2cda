"""Entries of a YAML mapping taken out of a text, and put into another place of it, with their comments.

In block style an entry is whole lines: the comments right above it in its own column, and what stands below it
further in. In flow style (``{a: 1, b: 2}``) it is a piece of a line. The rest of the text stays byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from virtkit.net.backends.netplan.document import Document, Entry, Mapping

SEPARATOR = re.compile(r"\s*,\s*")


@dataclass(frozen=True)
class Edit:
    """``text`` in the place of what stands from ``start`` to ``end``."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Piece:
    """An entry on its way. In block style whole lines, whose key stands in ``column``; in flow style ``key: value``."""

    text: str
    place: str = ""  # where it was, for messages
    column: int = -1  # -1: in flow style, which also stands in a block

    def lines(self, column: int, line_end: str) -> str:
        """As lines of a block whose keys stand in ``column``."""
        if self.column >= 0:
            return "".join(_shifted(line, column - self.column) for line in self.text.splitlines(keepends=True))
        first, *further = self.text.splitlines()
        inner = [" " * (column + 2) + line.strip() for line in further]
        return "".join(line + line_end for line in (" " * column + first, *inner))

    def flow(self) -> str:
        """As a piece of a line, which a block of one line without a comment can be."""
        bare = self.text.strip()
        if self.column >= 0 and ("\n" in bare or "#" in bare):
            hint = "write the braces around its new place in block style"
            raise NotSupportedError(f"{self.place}: is in block style, which has no place in braces", hint=hint)
        return bare


def apply(text: str, edits: Iterable[Edit]) -> str:
    """At one place, in the order given."""
    parts, done = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        parts += [text[done : edit.start], edit.text]
        done = max(done, edit.end)
    return "".join([*parts, text[done:]])


def column(document: Document, position: int) -> int:
    return position - (document.text.rfind("\n", 0, position) + 1)


def take(document: Document, mapping: Mapping, taken: Sequence[Entry], instead: Sequence[Piece]) -> list[Edit]:
    """Without the entries ``taken``; ``instead`` stands where the first of them was, or at the end."""
    if not taken:
        return put(document, mapping, instead)
    if mapping.flow:
        return _take_flow(document, mapping, taken, ", ".join(piece.flow() for piece in instead))
    where = column(document, taken[0].start)
    text = "".join(piece.lines(where, document.line_end) for piece in instead)
    edits = [Edit(*span(document, mapping, entry), "") for entry in taken]
    first = edits[0]
    if text and document.text[first.end - 1] != "\n":  # the end of the file, without a line end
        text = text.removesuffix(document.line_end)
    return [Edit(first.start, first.end, text), *edits[1:]]


def put(document: Document, mapping: Mapping, pieces: Sequence[Piece]) -> list[Edit]:
    """After the last entry."""
    if not pieces:
        return []
    if mapping.flow:
        text = ", ".join(piece.flow() for piece in pieces)
        if mapping.entries:
            return [Edit(mapping.entries[-1].end, mapping.entries[-1].end, f", {text}")]
        return [Edit(mapping.end - 1, mapping.end - 1, text)]
    last = mapping.entries[-1]
    where = column(document, last.start)
    return [below(document, mapping, last, "".join(piece.lines(where, document.line_end) for piece in pieces))]


def below(document: Document, mapping: Mapping, entry: Entry, lines: str) -> Edit:
    """``lines`` after an entry in block style."""
    end = span(document, mapping, entry)[1]
    if document.text[end - 1] == "\n":
        return Edit(end, end, lines)
    return Edit(end, end, document.line_end + lines.removesuffix(document.line_end))


def pieces(document: Document, mapping: Mapping, entries: Iterable[Entry]) -> list[Piece]:
    return [_piece(document, mapping, entry) for entry in entries]


def _piece(document: Document, mapping: Mapping, entry: Entry) -> Piece:
    place = document.place(entry.start)
    if mapping.flow:
        return Piece(document.text[entry.start : entry.end], place)
    start, end = span(document, mapping, entry)
    text = document.text[start:end]
    return Piece(text if text.endswith("\n") else text + document.line_end, place, column(document, entry.start))


def span(document: Document, mapping: Mapping, entry: Entry) -> tuple[int, int]:
    """Of an entry in block style: from its comments to the end of its last line."""
    text, where = document.text, column(document, entry.start)
    start = entry.start - where
    if text[start : entry.start].strip(" "):
        raise NotSupportedError(f"{document.place(entry.start)}: does not begin its line, expected it to")
    floor = max((other.end for other in mapping.entries if other.end <= start), default=0)
    while start > floor and _comment_column(above := _line_before(text, start)) == where:
        start -= len(above)
    end = _line_end(text, entry.end)
    return start, _with_comments_below(text, end, where)


def _with_comments_below(text: str, end: int, where: int) -> int:
    """Comments that stand further in than the entry belong to it, over empty lines as well."""
    position = end
    while line := text[position : _line_end(text, position + 1)]:
        position += len(line)
        if _comment_column(line) > where:
            end = position
        elif line.strip():
            break
    return end


def _comment_column(line: str) -> int:
    """-1: the line is no comment."""
    bare = line.lstrip(" ")
    return len(line) - len(bare) if bare.startswith("#") else -1


def _line_before(text: str, start: int) -> str:
    return text[text.rfind("\n", 0, start - 1) + 1 : start]


def _line_end(text: str, position: int) -> int:
    """After the line end that follows, or the text's end; a position after a line end is one already."""
    if 0 < position <= len(text) and text[position - 1] == "\n":
        return position
    found = text.find("\n", position)
    return len(text) if found < 0 else found + 1


def _shifted(line: str, by: int) -> str:
    if not line.strip():
        return line
    indent = len(line) - len(line.lstrip(" "))
    return " " * max(0, indent + by) + line[indent:]


def _take_flow(document: Document, mapping: Mapping, taken: Sequence[Entry], instead: str) -> list[Edit]:
    """With one of the commas around each."""
    edits, leading = [], not instead
    for index, entry in enumerate(mapping.entries):
        if entry not in taken:
            leading = False
        elif instead and entry is taken[0]:
            edits.append(Edit(entry.start, entry.end, instead))
        elif leading:
            following = mapping.entries[index + 1 :]
            edits.append(_without(document, entry.start, entry.end, following[0].start if following else entry.end))
        else:
            before = mapping.entries[index - 1].end
            edits.append(_without(document, before, before, entry.start, entry.end))
    return edits


def _without(document: Document, start: int, gap: int, gap_end: int, end: int = -1) -> Edit:
    """NotSupportedError where the gap between two entries is more than a comma: a comment would be lost."""
    between = document.text[gap:gap_end]
    if between and not SEPARATOR.fullmatch(between):
        raise NotSupportedError(f"{document.place(gap)}: has {between.strip()!r} between settings, expected a comma")
    return Edit(start, max(gap_end, end), "")
