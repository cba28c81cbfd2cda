"""The XML of a machine as that of another one: what must differ differs, the rest stays."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.vm import schedule, templating
from virtkit.vm.blueprint import derived_mac
from virtkit.vm.domain import Domain
from virtkit.vm.xml import remove

if TYPE_CHECKING:
    from virtkit.vm.xml import Element


def twin(domain: Domain, name: str, uuid: str) -> Domain:
    """With the old disks still; ``domain`` itself stays as it is."""
    old, made = domain.name, Domain.parse(domain.text())
    templating.release(made)
    schedule.forget(made)
    made.name, made.uuid = name, uuid
    for index, nic in enumerate(made.nics):
        nic.mac = derived_mac(name, index)
        nic.tap = ""
    _serial_numbers(made.node, uuid)
    for node in made.node.findall("genid"):
        node.text = None  # libvirt makes a new one: Windows' domain controllers notice a clone by it
    for node in made.node.findall("devices//log"):
        node.set("file", renamed(node.get("file", ""), old, name, "log"))
    for node in made.node.findall("devices/channel/source"):
        node.attrib.pop("path", None)  # libvirt makes one below the machine's own directory
    for display in made.node.findall("devices/graphics"):
        for node in display.iter():
            node.attrib.pop("socket", None)
    return made


def renamed(path: str, old: str, new: str, suffix: str) -> str:
    """The same directory; the new name in place of the old, or in front of ``suffix`` where the old is not in it."""
    folder, file = os.path.split(path)
    return os.path.join(folder, file.replace(old, new, 1) if old in file else f"{new}-{suffix}")


def warnings(domain: Domain) -> list[str]:
    """What the two cannot have, or do, at the same time."""
    notes = []
    if domain.node.find("devices/tpm") is not None:
        notes.append("its TPM is new and empty: what the old one sealed (BitLocker, LUKS) asks for its recovery key")
    if domain.node.find("devices/hostdev") is not None:
        notes.append("both have the same device of the host passed through: only one of them can run")
    fixed = [node for node in domain.node.findall("devices/graphics") if node.get("port", "-1") not in {"-1", "0"}]
    ports = [f"{node.get('type')} port {node.get('port')}" for node in fixed]
    return notes + [f"both have the {port}: only one of them can run" for port in ports]


def _serial_numbers(domain: Element, uuid: str) -> None:
    """The SMBIOS UUID has to be the machine's own, or libvirt refuses it; a serial number is no twin's."""
    for system in domain.findall("sysinfo/system"):
        for entry in system.findall("entry"):
            if entry.get("name") == "uuid":
                entry.text = uuid
            elif entry.get("name") == "serial":
                remove(system, entry)
