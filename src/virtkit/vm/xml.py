"""Typed fields over libvirt's XML. What has no field here stays exactly as it was written.

Names are read as they stand (``qemu:commandline``, ``xmlns:qemu``), without resolving namespaces: libvirt's own
elements have no prefix, and everybody else's come back with theirs, declarations included.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Generic, TypeVar
from xml.parsers import expat

from virtkit.core.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator

Element = ET.Element

UNITS = {  # libvirt's scaled integers, docs/formatdomain: bytes of each unit; KiB where none is written
    "": 1 << 10, "b": 1, "bytes": 1, "KB": 10**3, "k": 1 << 10, "KiB": 1 << 10, "MB": 10**6, "M": 1 << 20,
    "MiB": 1 << 20, "GB": 10**9, "G": 1 << 30, "GiB": 1 << 30, "TB": 10**12, "T": 1 << 40, "TiB": 1 << 40,
}  # fmt: skip


def parse(text: str) -> Element:
    """The root of a document. MachineError for what is no XML, and for a DOCTYPE: libvirt writes none."""
    builder = ET.TreeBuilder(insert_comments=True, insert_pis=True)
    reader = expat.ParserCreate()
    reader.buffer_text = True
    reader.StartElementHandler = builder.start
    reader.EndElementHandler = builder.end
    reader.CharacterDataHandler = builder.data
    reader.CommentHandler = builder.comment
    reader.ProcessingInstructionHandler = builder.pi
    reader.StartDoctypeDeclHandler = _refuse_doctype
    try:
        reader.Parse(text, True)  # noqa: FBT003  expat's own signature: the text is whole
    except expat.ExpatError as error:
        where = f"line {error.lineno}, column {error.offset + 1}"
        raise MachineError(f"XML: {expat.ErrorString(error.code)} ({where})") from error
    return builder.close()


def text(root: Element) -> str:
    return ET.tostring(root, encoding="unicode")


def element(tag: str, attributes: dict[str, str] | None = None, *children: Element, text: str | None = None) -> Element:
    """A new element; attributes whose value is empty are left out."""
    made = Element(tag, {name: value for name, value in (attributes or {}).items() if value})
    made.text = text
    made.extend(children)
    return made


def children(node: Element) -> Iterator[Element]:
    """The elements right below, without comments and processing instructions."""
    for child in node:
        if isinstance(child.tag, str):
            yield child


def canonical(root: Element) -> str:
    """The same text for the same content: attributes sorted, white space between elements and comments left out."""
    return "".join(_canonical(root))


def _canonical(node: Element) -> Iterator[str]:
    made = Element(node.tag, dict(sorted(node.attrib.items())))
    made.text = (node.text or "").strip() + "\0"  # keeps <a/> and <a></a> the same, and the end tag apart
    start, _, end = ET.tostring(made, encoding="unicode").partition("\0")
    yield start
    for child in children(node):
        yield from _canonical(child)
    yield end


def _refuse_doctype(*_declaration: object) -> None:
    raise MachineError("XML: has a DOCTYPE, expected none: entities are not read")


class View:
    """One element seen through fields."""

    def __init__(self, node: Element) -> None:
        self.node = node


V = TypeVar("V", bound=View)


class Field:
    """``path@attribute`` or ``path`` (the element's text), below the view's element."""

    def __init__(self, path: str) -> None:
        self.path, _, self.attribute = path.partition("@")

    def read(self, view: View) -> str:
        """Empty where the element or the attribute is absent."""
        node = view.node.find(self.path) if self.path else view.node
        if node is None:
            return ""
        return node.get(self.attribute, "") if self.attribute else (node.text or "").strip()

    def write(self, view: View, value: str) -> None:
        """Elements on the way are made; an empty value removes the attribute or the element."""
        if not value:
            self._remove(view)
            return
        node = _descend(view.node, self.path)
        if self.attribute:
            node.set(self.attribute, value)
        else:
            node.text = value

    def _remove(self, view: View) -> None:
        node = view.node.find(self.path) if self.path else view.node
        if node is None:
            return
        if self.attribute:
            node.attrib.pop(self.attribute, None)
        else:
            remove(view.node, node)


class Text(Field):
    def __get__(self, view: View, owner: type[View]) -> str:
        return self.read(view)

    def __set__(self, view: View, value: str) -> None:
        self.write(view, value)


class Integer(Field):
    def __get__(self, view: View, owner: type[View]) -> int:
        """0 where it is absent."""
        return _number(self.read(view) or "0", self.path)

    def __set__(self, view: View, value: int) -> None:
        self.write(view, str(value))


class Bytes(Field):
    """A size with libvirt's ``unit`` attribute, in bytes."""

    def __get__(self, view: View, owner: type[View]) -> int:
        """0 where it is absent."""
        node = view.node.find(self.path)
        unit = "" if node is None else node.get("unit", "")
        if unit not in UNITS:
            raise MachineError(f"XML: unit of {self.path} is {unit}, expected one of {', '.join(UNITS)}")
        return _number(self.read(view) or "0", self.path) * UNITS[unit]

    def __set__(self, view: View, value: int) -> None:
        """Whole KiB, libvirt's own unit; a rest is rounded up."""
        self.write(view, str(-(-value // 1024)))
        _descend(view.node, self.path).set("unit", "KiB")


class Items(Generic[V]):
    """All elements at ``path`` as views, in document order."""

    def __init__(self, path: str, kind: type[V]) -> None:
        self.path, self.kind = path, kind

    def __get__(self, view: View, owner: type[View]) -> tuple[V, ...]:
        return tuple(self.kind(node) for node in view.node.findall(self.path))


def remove(root: Element, node: Element) -> None:
    """Take ``node`` out from below ``root``; the white space after it goes too."""
    for parent in root.iter():
        if node in list(parent):
            parent.remove(node)
            return


def _descend(node: Element, path: str) -> Element:
    for tag in filter(None, path.split("/")):
        below = node.find(tag)
        node = ET.SubElement(node, tag) if below is None else below
    return node


def _number(digits: str, name: str) -> int:
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):  # noqa: PLR2004  libvirt's are 64 bits
        raise MachineError(f"XML: {name} is {digits[:40]!r}, expected a whole number")
    return int(digits)
