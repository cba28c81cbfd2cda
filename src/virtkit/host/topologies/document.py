"""XML from outside, within bounds: no entities, so many elements, so deep; numbers and sets of CPUs as they must be."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING
from xml.parsers import expat

from virtkit.core.cpuset import parse_list, parse_mask
from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from virtkit.core.cpuset import CpuSet

Element = ET.Element

LARGEST = 16 << 20  # characters: hwloc writes 200 KiB for 256 CPUs
ELEMENTS = 200_000
DEPTH = 64
_DIGITS = 20  # of 64 bits


def parse(text: str) -> Element:
    """UsageError for what is no XML, too large, or declares entities. A DOCTYPE is allowed, for hwloc writes one."""
    if len(text) > LARGEST:
        raise UsageError(f"XML: has {len(text)} characters, expected {LARGEST} at most")
    builder, reader = _Bounded(), expat.ParserCreate()
    reader.buffer_text = True
    reader.StartElementHandler = builder.start
    reader.EndElementHandler = builder.end
    reader.CharacterDataHandler = builder.data
    reader.EntityDeclHandler = _refuse
    try:
        reader.Parse(text, True)  # noqa: FBT003  expat's own signature: the text is whole
    except expat.ExpatError as error:
        where = f"line {error.lineno}, column {error.offset + 1}"
        raise UsageError(f"XML: {expat.ErrorString(error.code)} ({where})") from error
    return builder.close()


class _Bounded(ET.TreeBuilder):
    def __init__(self) -> None:
        super().__init__()
        self.elements = self.depth = 0

    def start(self, tag: str, attributes: dict[str, str], /) -> Element:
        self.elements += 1
        self.depth += 1
        if self.elements > ELEMENTS or self.depth > DEPTH:
            raise UsageError(f"XML: has more than {ELEMENTS} elements or {DEPTH} levels, expected less")
        return super().start(tag, attributes)

    def end(self, tag: str, /) -> Element:
        self.depth -= 1
        return super().end(tag)


def _refuse(*_declaration: object) -> None:
    raise UsageError("XML: declares an entity, expected none")


def number(node: Element, name: str) -> int | None:
    """Of an attribute; None where it is absent. UsageError."""
    text = node.get(name)
    return None if text is None else whole(text, f"{node.tag}@{name}")


def whole(text: str, what: str) -> int:
    """UsageError for anything but a number of 64 bits."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise UsageError(f"XML: {what} is {text[:40]!r}, expected a whole number")
    return int(text)


def mask(text: str) -> CpuSet:
    """Hwloc's ``0x000000ff,,0xffffffff``, where nothing between commas is 0; an empty text is no CPU. UsageError."""
    words = [word.strip().removeprefix("0x") for word in text.split(",")]
    return parse_mask(",".join(word or "0" for word in words))


def listed(text: str) -> CpuSet:
    """Libvirt's ``0-3,8``. UsageError."""
    return parse_list(text)
