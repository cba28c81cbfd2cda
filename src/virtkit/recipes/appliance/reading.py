"""Untrusted text: XML by its local names, numbers within bounds. Prefixes of namespaces are every tool's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError, VirtkitError
from virtkit.vm.xml import children, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.vm.xml import Element

LARGEST = 8 << 20  # bytes of a description
_NAME = re.compile(r"[A-Za-z0-9_.+@-]+")


def root_of(data: bytes, where: str) -> Element:
    try:
        return parse(decoded(data, where))
    except VirtkitError as error:
        raise ImageError(f"{where}: {error.message}") from error


def decoded(data: bytes, where: str) -> str:
    """UTF-8 or UTF-16, as the byte order mark says."""
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ImageError(f"{where}: is not {encoding} text (at byte {error.start:#x})") from error
    return re.sub(r"^<\?xml[^>]*\?>", "", text)  # its encoding is done with


def local(name: str) -> str:
    """Without the prefix of its namespace."""
    return name.rpartition(":")[2]


def below(node: Element, *path: str) -> Iterator[Element]:
    """The elements at ``path`` below ``node``, by their local names."""
    if not path:
        yield node
        return
    for child in children(node):
        if local(child.tag) == path[0]:
            yield from below(child, *path[1:])


def text(node: Element, *path: str) -> str:
    """Of the first element there; empty where there is none."""
    return next(((found.text or "").strip() for found in below(node, *path)), "")


def attribute(node: Element, name: str) -> str:
    return next((value for key, value in node.attrib.items() if local(key) == name), "")


def number(said: str, most: int, where: str, field: str) -> int:
    """A whole number up to ``most``; 0 for nothing. ImageError for anything else."""
    if not said:
        return 0
    if not (said.isascii() and said.isdecimal() and len(said) < 20) or int(said) > most:  # noqa: PLR2004  64 bits
        raise ImageError(f"{where}: {field} is {said[:40]!r}, expected a whole number up to {most}")
    return int(said)


def plain_name(said: str) -> str:
    """A name that libvirt takes, from any text; empty if nothing of it can be used."""
    return "-".join(_NAME.findall(said))[:60].strip("-.")


def file_name(said: str, where: str) -> str:
    """ImageError for what leads out of the directory, is absolute, or names no file."""
    parts = said.split("/")
    if not said or said.startswith("/") or ".." in parts or "\0" in said or "://" in said or "\\" in said:
        raise ImageError(f"{where}: file is {said[:80]!r}, expected one beside the description, or below it")
    return said
