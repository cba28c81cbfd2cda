"""Passwords stay in libvirt: they are neither shown nor kept nor edited here; libvirt is given those that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.vm.difference import devices

if TYPE_CHECKING:
    from virtkit.vm.domain import Domain

STARS = "*****"  # what people write who do not mean a password
HIDDEN = ("passwd", "passwdValidTo", "connected")  # without VIR_DOMAIN_XML_SECURE libvirt leaves them out


def refuse(domain: Domain) -> None:
    """NotSupportedError for a document with a password: the journal would hold it."""
    for node in domain.node.findall("devices/graphics"):
        if node.get("passwd", STARS) != STARS:
            found = f"{domain.name}: its XML holds a password, which the journal must not hold"
            raise NotSupportedError(
                f"{found}; expected none: the one that it has stays", hint=f"virsh edit {domain.name}"
            )


def graft(document: Domain, real: Domain) -> None:
    """Give the displays of ``document`` the passwords that they have in ``real``; stars never become one."""
    known = devices(real.node)
    for name, node in devices(document.node).items():
        if node.tag != "graphics":
            continue
        if node.get("passwd") == STARS:
            del node.attrib["passwd"]
        for attribute in HIDDEN:
            if name in known and attribute in known[name].attrib:
                node.attrib.setdefault(attribute, known[name].attrib[attribute])
