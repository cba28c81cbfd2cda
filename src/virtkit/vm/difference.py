"""What differs between two machine definitions: field by field, and line by line.

A field's path reads ``vcpu@current`` or ``disk[vda]/driver@cache``: elements, the attribute behind @. Devices stand
without ``devices/`` in front, each with what it is known by in brackets; sizes are in bytes whatever the unit was.
"""

from __future__ import annotations

import difflib
import re
import xml.etree.ElementTree as ET
from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import format_size
from virtkit.vm.xml import UNITS, Text, View, children

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.vm.xml import Element

KNOWN_BY = {  # devices that keep their name wherever they stand in the document
    "disk": ("target@dev",),
    "interface": ("mac@address",),
    "hostdev": tuple(f"source/address@{part}" for part in ("domain", "bus", "slot", "function")),
    "memory": ("alias@name",),
    "controller": ("@type", "@index"),
    "channel": ("target@name",),
    "graphics": ("@type",),
    "vcpupin": ("@vcpu",),
    "feature": ("@name",),
    "timer": ("@name",),
    "cell": ("@id",),
}
USERS = "ua-"  # an alias that a person chose, which the definition keeps; libvirt's own come and go with the process
SIZES = {"memory", "currentMemory", "maxMemory", "size", "requested", "current", "block", "label"}


class Change(NamedTuple):
    path: str
    old: str  # empty: it is not there
    new: str

    def __str__(self) -> str:
        return f"{self.path}: {said(self.path, self.old)} -> {said(self.path, self.new)}"

    @property
    def whole(self) -> bool:
        """A whole device comes or goes."""
        return self.path.endswith("]") and "/" not in self.path and not (self.old and self.new)


def changes(old: Element, new: Element) -> list[Change]:
    """In the order of the documents; a device that comes or goes is one change."""
    before, after = flatten(old), flatten(new)
    found: dict[str, Change] = {}
    for path in [*before, *(path for path in after if path not in before)]:
        head = path.partition("]")[0] + "]" if "]" in path else ""
        here = [head in device_names(side) for side in (old, new)] if head else [True, True]
        if head and here[0] != here[1]:
            found.setdefault(head, Change(head, *(_summary(side, head) for side in (old, new))))
        elif (change := Change(path, before.get(path, ""), after.get(path, ""))).old != change.new:
            found[path] = change
        elif (path in before) != (path in after):
            found[path] = Change(path, *("present" if path in side else "" for side in (before, after)))
    return list(found.values())


def flatten(root: Element) -> dict[str, str]:
    """All that a document says, by path; what libvirt leaves unsaid because it follows from the rest is added."""
    found: dict[str, str] = {}
    _walk(root, "", found)
    if "vcpu" in found:
        found.setdefault("vcpu@current", found["vcpu"])
    if "memory" in found:
        found.setdefault("currentMemory", found["memory"])
    return found


def devices(root: Element) -> dict[str, Element]:
    """Every device by its name: ``disk[vda]``, ``interface[52:54:00:12:34:56]``, ``rng[1]``."""
    return {name: node for parent in root.findall("devices") for name, node in _named(parent)}


def device_names(root: Element) -> set[str]:
    return set(devices(root))


def lines(old: Element, new: Element) -> list[str]:
    """The unified difference of both documents, indented alike."""
    return [line.rstrip("\n") for line in difflib.unified_diff(_pretty(old), _pretty(new), "now", "wanted", n=2)][2:]


def split(path: str) -> tuple[str, str, str]:
    """``disk[vda]/driver@cache`` -> disk, vda, driver@cache; what is no device has an empty name and all in the end."""
    if (match := re.match(r"([^\[/@]+)\[([^\]]*)\]/?(.*)", path)) is None:
        return "", "", path
    return match[1], match[2], match[3]


def said(path: str, value: str) -> str:
    """The value of a field as people read it."""
    return format_size(int(value)) if value.isdecimal() and _tag(path) in SIZES else value or "none"


def _walk(node: Element, path: str, found: dict[str, str]) -> None:
    below, text = list(_named(node)), (node.text or "").strip()
    unit = node.get("unit", "") if not below and text.isdecimal() and _tag(path) in SIZES else None
    if text or not (below or node.attrib):
        found[path] = str(int(text) * UNITS.get(unit, 1)) if unit is not None else text
    for name, value in node.attrib.items():
        if not (name == "unit" and unit is not None):
            found[f"{path}@{name}"] = value
    for key, child in below:
        _walk(child, path if child.tag == "devices" and not path else "/".join(filter(None, (path, key))), found)


def _named(node: Element) -> Iterator[tuple[str, Element]]:
    counts: dict[str, int] = {}
    used: set[str] = set()
    for child in children(node):
        tag = counted = child.tag if child.tag != "memory" or node.tag != "devices" else child.get("model", "dimm")
        counts[counted] = number = counts.get(counted, 0) + 1
        known = [Text(path).read(View(child)) for path in KNOWN_BY.get(child.tag, ())]
        if child.tag == "memory" and not "".join(known).startswith(USERS):
            known = []
        key = " ".join(filter(None, (part.removeprefix("0x") for part in known)))
        if not key and (node.tag == "devices" or number > 1):
            key = str(number)
        name = f"{tag}[{key.lower()}]" if key else tag
        while name in used:
            number += 1
            name = f"{tag}[{key.lower()} {number}]"
        used.add(name)
        yield name, child


def _summary(root: Element, name: str) -> str:
    """One line about a device; empty if it is not there."""
    node = devices(root).get(name)
    if node is None:
        return ""
    source = node.find("source")
    what = "" if source is None else " ".join(source.attrib.values())
    size = node.find("target/size")
    if size is not None:
        what = format_size(int(size.text or 0) * UNITS[size.get("unit", "")])
    return what or node.get("model", "") or node.get("type", "") or "present"


def _tag(path: str) -> str:
    return path.rpartition("/")[2]


def _pretty(root: Element) -> list[str]:
    shown = deepcopy(root)
    _strip(shown)
    ET.indent(shown)
    return (ET.tostring(shown, encoding="unicode") + "\n").splitlines(keepends=True)


def _strip(node: Element) -> None:
    for each in node.iter():
        each.text = (each.text or "").strip() or None
        each.tail = None
