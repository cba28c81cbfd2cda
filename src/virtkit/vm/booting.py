"""The order in which a machine tries its devices when it starts.

libvirt takes either an order of kinds (``os/boot``) or a number at each device, never both: the kinds are turned into
numbers as soon as one device is to have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.vm.xml import element, remove

if TYPE_CHECKING:
    from virtkit.vm.domain import Domain
    from virtkit.vm.xml import Element

KINDS = {"hd": "devices/disk[@device='disk']", "cdrom": "devices/disk[@device='cdrom']", "network": "devices/interface"}


def set_order(domain: Domain, device: Element, place: int) -> None:
    """``device`` is tried at ``place``, from 1, and who stood there after it; 0: it is not tried."""
    order = [node for node in _order(domain) if node is not device]
    if place:
        order.insert(place - 1, device)
    for node in [*domain.node.findall("devices/disk"), *domain.node.findall("devices/interface")]:
        _number(node, order.index(node) + 1 if node in order else 0)
    for boot in domain.node.findall("os/boot"):
        remove(domain.node, boot)


def _order(domain: Domain) -> list[Element]:
    numbered = [node for node in domain.node.findall("devices/*") if node.find("boot") is not None]
    if numbered:
        return sorted(numbered, key=lambda node: int(node.find("boot").get("order", "0")))  # type: ignore[union-attr]  # found above
    found = [domain.node.find(KINDS[boot.get("dev", "")]) for boot in domain.node.findall("os/boot[@dev]")
             if boot.get("dev") in KINDS]  # fmt: skip
    return [node for node in found if node is not None]


def _number(node: Element, place: int) -> None:
    if (old := node.find("boot")) is not None:
        if place:
            old.set("order", str(place))
        else:
            remove(node, old)
    elif place:
        node.append(element("boot", {"order": str(place)}))
