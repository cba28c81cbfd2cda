"""The memory of an external snapshot: a file as ``virsh save`` writes it, with the machine's XML of then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.plan import Json


def placed(xml: str, disks: Mapping[str, Json]) -> str:
    """The XML with the disks in other images; what lay below the old ones is left for libvirt to find anew."""
    domain = Domain.parse(xml)
    moved(domain, disks)
    return domain.text()


def moved(domain: Domain, disks: Mapping[str, Json]) -> None:
    """Overlays are qcow2 files, whatever was there before."""
    for disk in domain.disks:
        if disk.target not in disks:
            continue
        for node in disk.node.findall("backingStore"):
            disk.node.remove(node)
        disk.node.set("type", "file")
        disk.format = "qcow2"
        source = disk.node.find("source")
        if source is not None:
            source.attrib.pop("dev", None)
            source.attrib.pop("index", None)
            source.set("file", str(disks[disk.target]))
