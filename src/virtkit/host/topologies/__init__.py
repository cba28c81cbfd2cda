"""A host's topology out of what other programs wrote about it: one module for each, told by the root element."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.host.topologies import document, hwlocxml, libvirtxml

if TYPE_CHECKING:
    from virtkit.host.topology import Topology

_READERS = {"topology": hwlocxml.read, "capabilities": libvirtxml.read}


def read_document(text: str) -> Topology:
    """Hwloc's XML (``lstopo x.xml``) or libvirt's (``virsh capabilities``). UsageError for anything else."""
    root = document.parse(text)
    reader = _READERS.get(root.tag)
    if reader is None:
        raise UsageError(f"XML: root is {root.tag[:40]}, expected topology (hwloc) or capabilities (libvirt)")
    return reader(root)
