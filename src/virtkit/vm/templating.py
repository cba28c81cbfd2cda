"""A machine that others are cloned from: every program that starts it finds its disks read-only.

So what stands on them stays whole, whoever starts it and with what: QEMU itself opens them for reading alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.vm.blueprint import MADE_BY
from virtkit.vm.xml import element

if TYPE_CHECKING:
    from virtkit.vm.domain import Domain
    from virtkit.vm.xml import Element

_TAG, _LOCKED = "virtkit:machine", "template"  # the attribute names the disks that were writable before


def is_one(domain: Domain) -> bool:
    return (node := _mark(domain)) is not None and _LOCKED in node.attrib


def make(domain: Domain) -> None:
    locked = [disk for disk in domain.disks if disk.device == "disk" and not disk.read_only]
    for disk in locked:
        disk.read_only = True
    node = _mark(domain)
    if node is None:
        node = element(_TAG, {"xmlns:virtkit": MADE_BY})
        _metadata(domain).append(node)
    node.set(_LOCKED, " ".join(disk.target for disk in locked))


def release(domain: Domain) -> None:
    """What ``make`` did is taken back."""
    if (node := _mark(domain)) is None:
        return
    locked = node.attrib.pop(_LOCKED, "").split()
    for disk in domain.disks:
        if disk.target in locked:
            disk.read_only = False


def refuse(domain: Domain) -> None:
    """NotSupportedError for one that is about to be started."""
    if is_one(domain):
        found = f"{domain.name}: is a template, whose disks nobody writes to"
        raise NotSupportedError(found, hint=f"virtkit vm clone {domain.name} NEW, or: vm template {domain.name} --off")


def _mark(domain: Domain) -> Element | None:
    return next((node for node in domain.node.findall("metadata/*") if node.get("xmlns:virtkit") == MADE_BY), None)


def _metadata(domain: Domain) -> Element:
    found = domain.node.find("metadata")
    if found is None:
        domain.node.append(found := element("metadata"))
    return found
