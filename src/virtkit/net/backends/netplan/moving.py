"""Settings that move from one definition to another in the same file, as text, and the proof that they did."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.net.backends.netplan import blocks, document
from virtkit.net.backends.netplan.blocks import Edit, Piece
from virtkit.net.backends.netplan.configuration import network
from virtkit.net.backends.netplan.document import Alias, Mapping, Scalar, data, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.net.backends.netplan.configuration import Definition
    from virtkit.net.backends.netplan.document import Data, Document, Entry

STEP = 2  # columns further in, where the file shows no other
PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
RESERVED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # what YAML 1.1 takes for no text


@dataclass(frozen=True)
class Setting:
    """What a definition says: as text that can be put elsewhere, and what it means."""

    name: str
    value: Data
    piece: Piece


def new(name: str, text: str) -> Setting:
    """``text`` in flow style."""
    said = document.parse("", text).root
    return Setting(name, data(said) if said else "", Piece(f"{name}: {text}"))


def found(part: Definition, entries: Sequence[Entry]) -> list[Setting]:
    texts = blocks.pieces(part.document, part.settings, entries)
    return [Setting(entry.name, data(entry.value), text) for entry, text in zip(entries, texts, strict=True)]


def quoted(name: str) -> str:
    """A link's name as YAML text."""
    if PLAIN.fullmatch(name) and name.lower() not in RESERVED:
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def replaced(part: Definition, taken: Sequence[Entry], instead: Sequence[Setting]) -> list[Edit]:
    """Without the entries ``taken``, with ``instead`` in their place."""
    return blocks.take(part.document, part.settings, taken, [setting.piece for setting in instead])


def defined(part: Definition, section: str, name: str, settings: Sequence[Setting]) -> list[Edit]:
    """``name`` with these settings in a section of the file that ``part`` is in, in the manner of ``part``.

    The section is made after that of ``part`` where the file has none.
    """
    where, here = _network(part.document), part.document
    existing = where.get(section)
    if existing and isinstance(existing.value, Mapping) and existing.value.entries:
        inner = existing.value
        first = blocks.column(here, inner.entries[0].start)
        piece = _definition(part, name, settings, first, flow=inner.flow)
        return blocks.put(here, inner, [piece])
    if where.flow:
        piece = _definition(part, name, settings, 0, flow=True)
        if existing is None:
            return blocks.put(here, where, [Piece(f"{section}: {{{piece.flow()}}}")])
        return [Edit(existing.value.start, existing.value.end, f"{{{piece.flow()}}}")]
    left = blocks.column(here, where.entries[0].start)
    piece = _definition(part, name, settings, left + _step(part, left), flow=False)
    if existing is None:
        lines = " " * left + f"{section}:" + here.line_end + piece.text
        return [blocks.below(here, where, _section(part), lines)]
    return _filled(here, where, existing, piece)


def proven(here: Document, edits: Sequence[Edit], expected: Data) -> str:
    """The new text, if it means what is expected; else anchors are in the way: NotSupportedError with the place."""
    text = blocks.apply(here.text, edits)
    try:
        root = document.parse(here.path, text).root
    except NotSupportedError as error:
        raise _immovable(here) from error
    if root is None or data(root) != expected:
        raise _immovable(here)
    return text


def _immovable(here: Document) -> NotSupportedError:
    """An alias must come after its anchor, and what an anchor stands on is not only this link's."""
    nodes = walk(here.root) if here.root else ()
    tied = next((node for node in nodes if node.anchor or isinstance(node, Alias)), None)
    if tied is None:
        hint = "write the definition in block style"
        return NotSupportedError(f"{here.path}: settings cannot be moved as text", hint=hint)
    sort = "alias" if isinstance(tied, Alias) else "anchor"
    reason = f"an {sort} ties settings together that would have to part"
    return NotSupportedError(f"{here.place(tied.start)}: {reason}", hint="write them out, without & and *")


def _network(here: Document) -> Mapping:
    entry = network(here)
    if entry is None or not isinstance(entry.value, Mapping):
        raise NotSupportedError(f"{here.path}: network is no mapping that can be edited")
    return entry.value


def _section(part: Definition) -> Entry:
    """The one that the definition is in; Expected refuses a file that has it twice."""
    return next(entry for entry in _network(part.document).entries if entry.name == part.section)


def _definition(part: Definition, name: str, settings: Sequence[Setting], left: int, *, flow: bool) -> Piece:
    if flow:
        inner = ", ".join(setting.piece.flow() for setting in settings)
        return Piece(f"{quoted(name)}: {{{inner}}}", part.place)
    end = part.document.line_end
    column = left + _inner_step(part)
    lines = "".join(setting.piece.lines(column, end) for setting in settings)
    return Piece(" " * left + f"{quoted(name)}:" + end + lines, part.place, left)


def _step(part: Definition, left: int) -> int:
    """From a section to its definitions, as ``part`` has it."""
    column = blocks.column(part.document, part.entry.start)
    inner = _section(part).value
    block = isinstance(inner, Mapping) and not inner.flow
    return column - left if block and column > left else STEP


def _inner_step(part: Definition) -> int:
    """From a definition to its settings."""
    settings = part.entry.value
    if not isinstance(settings, Mapping) or settings.flow:
        return STEP
    here = part.document
    return blocks.column(here, settings.entries[0].start) - blocks.column(here, part.entry.start)


def _filled(here: Document, where: Mapping, existing: Entry, piece: Piece) -> list[Edit]:
    """``bridges: {}`` and ``bridges:`` become a block."""
    if not isinstance(existing.value, Mapping | Scalar) or existing.value.anchor:
        raise NotSupportedError(f"{here.place(existing.start)}: {existing.name} is no mapping that can be edited")
    return [
        Edit(existing.key.end, existing.end, ":"),
        blocks.below(here, where, existing, piece.text),
    ]


def dropped(part: Definition) -> list[Edit]:
    """Without the definition, and without its section where nothing else is in it. Comments above stay."""
    here, section = part.document, _section(part)
    outer, entry = _network(here), section
    if isinstance(section.value, Mapping) and len(section.value.entries) > 1:
        outer, entry = section.value, part.entry
    if outer.flow:
        return blocks.take(here, outer, [entry], [])
    _, end = blocks.span(here, outer, entry)
    return [Edit(entry.start - blocks.column(here, entry.start), end, "")]
