"""Topologies that hwloc and libvirt wrote, against what we read from the same machine's files."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.shapes import Shape, topology
from host.trees import MEMORY, machine
from support import others
from support.depth import only_deep
from virtkit.core.cpuset import format_list
from virtkit.core.errors import UsageError
from virtkit.host.kernel import Kernel
from virtkit.host.topologies import document, read_document
from virtkit.host.topology import read_topology

if TYPE_CHECKING:
    from virtkit.host.topology import Topology

WRITTEN = ["16em64t-4s2c2t-xml", "2i386-2c-nohugepage", "fakepcilocalities", "nvidia-dgx-gb10"]
DIFFERENT = {  # where hwloc and we do not agree, in what and why
    "40intel64-4n10c+pci-conflicts": (
        {"packages", "L3"}, "one mask of the tree is forged: hwloc merges two packages, ten CPUs outvote it here"
    ),
    "offline-cpu0-node0": (
        {"distances"}, "node 0 is offline, but the files have its distances: we refuse rows that do not fit the nodes"
    ),
}  # fmt: skip


def differences(ours: Topology, theirs: Topology) -> set[str]:
    groups = {what for what in ("packages", "dies", "cores") if set(getattr(ours, what)) != set(getattr(theirs, what))}
    levels = {f"L{level}" for level in (1, 2, 3) if _caches(ours, level) != _caches(theirs, level)}
    nodes = {what for what in ("near", "memory", "distances", "pools") if _nodes(ours, what) != _nodes(theirs, what)}
    return groups | levels | nodes | ({"cpus"} if ours.cpus != theirs.cpus else set())


def _caches(found: Topology, level: int) -> set[tuple[int | None, frozenset[int]]]:
    return {(one.size, one.cpus) for one in found.caches if one.level == level and one.kind != "instruction"}


def _nodes(found: Topology, what: str) -> dict[int, object]:
    if what == "pools":
        return {n.number: [(pool.size, pool.total) for pool in n.hugepages if pool.total] for n in found.nodes}
    return {n.number: getattr(n, what) for n in found.nodes}


def _recorded(name: str) -> Topology:
    with machine(name) as system:
        return read_topology(Kernel(system))


@pytest.mark.parametrize("name", WRITTEN)
def test_hwlocs_xml_gives_what_the_files_of_the_machine_give(name: str) -> None:
    theirs = read_document((others.folder("topologies") / f"{name}.xml").read_text())
    assert differences(_recorded(name.removesuffix("-xml")), theirs) == set()


@only_deep("takes half a minute")
def test_every_recorded_machine_is_as_hwloc_reads_it_today() -> None:
    if not shutil.which("lstopo-no-graphics"):
        pytest.skip("needs lstopo: apt install hwloc-nox")
    found = {}
    for tree in sorted(others.folder("topologies").glob("*.tar.bz2")):
        name = tree.name.removesuffix(".tar.bz2")
        with TemporaryDirectory(dir=MEMORY) as place, tarfile.open(tree) as files:
            files.extractall(place)
            (root,) = Path(place).iterdir()
            found[name] = differences(_recorded(name), read_document(_lstopo(root)))
    assert len(found) == 22
    assert {name: what for name, what in found.items() if what} == {n: what for n, (what, _) in DIFFERENT.items()}


def _lstopo(root: Path) -> str:
    environment = {**os.environ, "HWLOC_FSROOT": str(root), "HWLOC_COMPONENTS": "linux,stop", "HWLOC_THISSYSTEM": "0"}
    command = ["lstopo-no-graphics", "--of", "xml", "--disallowed", "--no-io"]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


shapes = st.builds(
    Shape, st.integers(1, 3), st.integers(1, 2), st.integers(1, 3), st.integers(2, 4), st.integers(1, 2),
    st.integers(1, 64).map(lambda pages: pages << 30), st.integers(0, 9),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(shapes)
def test_libvirts_capabilities_give_the_host_that_they_tell_of(shape: Shape) -> None:
    made = topology(shape)
    assert differences(made, read_document(_capabilities(made))) == set()


def _capabilities(made: Topology) -> str:
    """As virCapabilitiesFormatHostXML writes them."""
    root = ET.Element("capabilities")
    host = ET.SubElement(root, "host")
    cells = ET.SubElement(ET.SubElement(host, "topology"), "cells")
    for node in made.nodes:
        cell = ET.SubElement(cells, "cell", id=str(node.number))
        ET.SubElement(cell, "memory", unit="KiB").text = str((node.memory or 0) >> 10)
        ET.SubElement(cell, "pages", unit="KiB", size="4").text = "1"
        for pool in node.hugepages:
            ET.SubElement(cell, "pages", unit="KiB", size=str(pool.size >> 10)).text = str(pool.total)
        distances = ET.SubElement(cell, "distances")
        for other, distance in node.distances.items():
            ET.SubElement(distances, "sibling", id=str(other), value=str(distance))
        listed = ET.SubElement(cell, "cpus")
        for cpu in sorted(node.cpus):
            package = next(at for at, members in enumerate(made.packages) if cpu in members)
            siblings = next(core for core in made.cores if cpu in core)
            about = {"id": str(cpu), "socket_id": str(package), "siblings": format_list(siblings)}
            ET.SubElement(listed, "cpu", {**about, "die_id": "0", "core_id": str(min(siblings))})
    banks = ET.SubElement(host, "cache")
    for cache in made.caches:
        about = {"level": "3", "type": "both", "size": str((cache.size or 0) >> 20), "unit": "MiB"}
        ET.SubElement(banks, "bank", {**about, "cpus": format_list(cache.cpus)})
    return ET.tostring(root, encoding="unicode")


def test_a_document_of_libvirts_own_is_read() -> None:
    if not shutil.which("virsh"):
        pytest.skip("needs virsh")
    said = subprocess.run(
        ["virsh", "--connect", "test:///default", "capabilities"], capture_output=True, text=True, check=True
    )
    theirs = read_document(said.stdout)  # the test driver's host of two cells, eight CPUs each
    assert [len(node.cpus) for node in theirs.nodes] == [8, 8]
    assert len(theirs.packages) == 2


HOSTILE = {
    "an entity": '<!DOCTYPE a [<!ENTITY b "bbbb">]><topology version="2.0">&b;</topology>',
    "more than 200000 elements": "<topology>" + "<a/>" * 200_001 + "</topology>",
    "or 64 levels": "<topology>" + "<a>" * 65,
    "expected topology": "<domain/>",
    "version of hwloc's format is 1.2": '<topology version="1.2"/>',
    "os_index is": '<topology version="2.0"><object type="PU" os_index="-1"/></topology>',
    "mask of CPUs": '<topology version="2.0"><object type="Core" cpuset="0xf...f"/></topology>',
    "expected a square": (
        '<topology version="2.0"><distances2 type="NUMANode"><indexes>0 1</indexes>'
        "<u64values>10</u64values></distances2></topology>"
    ),
    "have no host/topology/cells": "<capabilities/>",
    "unclosed token": "<topology",
    "unit of memory": (
        "<capabilities><host><topology><cells><cell id='0'><memory unit='x'>1</memory></cell></cells></topology>"
        "</host></capabilities>"
    ),
}


@pytest.mark.parametrize("message", HOSTILE)
def test_what_is_no_topology_is_refused_in_words(message: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_document(HOSTILE[message])
    assert message in refused.value.message


def test_a_document_that_is_too_long_is_not_read() -> None:
    with pytest.raises(UsageError, match="characters, expected 16777216 at most"):
        read_document(" " * (document.LARGEST + 1))
