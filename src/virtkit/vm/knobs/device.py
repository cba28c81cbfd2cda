"""What libvirt updates of a device in place: a network card's link and bridge, how much memory a module gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError
from virtkit.core.units import KIB
from virtkit.vm import fields, library, nics
from virtkit.vm.devices import BRIDGE, NETWORK
from virtkit.vm.difference import SIZES, devices, split
from virtkit.vm.xml import Text, View, remove

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from virtkit.vm.machine import Machine
    from virtkit.vm.xml import Element

LINK = "link@state"


def read(machine: Machine, device: str, paths: Iterable[str]) -> dict[str, str]:
    """Without what libvirt adds to a card on a network: the network's bridge, its port there, and the bridge's type."""
    there = fields.read(machine, device, {*paths, "source@network"})
    added = {"source@portid": ""} | ({"source@bridge": "", "@type": NETWORK} if there["source@network"] else {})
    found = {path: added.get(path, there[path]) for path in paths}
    return found | ({LINK: found[LINK] or "up"} if LINK in found else {})


def write(machine: Machine, device: str, values: Mapping[str, str]) -> None:
    node = devices(machine.now().node).get(device)
    if node is None:
        raise NotFoundError(f"{machine.name}: has no {device} any more", hint=f"virtkit vm show {machine.name}")
    if any(path.startswith("source@") for path in values):
        _unplug(node)
    for path, value in sorted(values.items()):
        _assign(node, path, value)
    machine.update_device(node, library.LIVE)
    if any(path.startswith("source@") for path in values) and node.tag == "interface":
        nics.bounce(machine, split(device)[1])


def cannot(machine: Machine, device: str, values: Mapping[str, str]) -> str:
    node = devices(machine.now().node).get(device)
    if node is None or {node.get("type", ""), values.get("@type", NETWORK)} <= {BRIDGE, NETWORK, ""}:
        return ""
    return "QEMU's own NAT has no tap that could go to a bridge: it becomes another card"


def _assign(node: Element, path: str, value: str) -> None:
    if path.rpartition("/")[2] in SIZES:  # with a unit, and given in bytes
        Text(path).write(View(node), str(int(value or "0") // KIB))
        Text(f"{path}@unit").write(View(node), "KiB")
    else:
        Text(path).write(View(node), value)


def _unplug(node: Element) -> None:
    """What belonged to the old bridge or network (port id, virtual port) goes."""
    for old in [*node.findall("source"), *node.findall("virtualport")]:
        remove(node, old)
