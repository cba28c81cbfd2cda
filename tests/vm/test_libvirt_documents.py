"""Every document of libvirt's own tests: ``apt-get source libvirt``, as ``libvirt`` in $VIRTKIT_TEST_DATA."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from support import others
from virtkit.vm import edits
from virtkit.vm.difference import changes, flatten
from virtkit.vm.domain import Domain
from virtkit.vm.edits import DiskSettings
from virtkit.vm.xml import parse, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEAST = 2000  # of 9.0's documents are machines


@pytest.fixture(scope="module")
def documents() -> list[tuple[Path, str]]:
    """All that the standard library's own reader takes."""
    found = list(_readable(others.folder("libvirt") / "tests"))
    assert len(found) > LEAST
    return found


def _readable(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*.xml")):
        document = path.read_text(encoding="utf-8", errors="surrogateescape")
        try:
            ET.fromstring(document)
        except (ET.ParseError, UnicodeEncodeError):
            continue  # fragments, and a file that is broken on purpose
        yield path, document


def _said(node: ET.Element) -> tuple[object, ...]:
    """All that a document says, white space and comments included, with namespaces resolved."""
    return node.tag, sorted(node.attrib.items()), node.text, node.tail, [_said(child) for child in node]


def _read(document: str) -> ET.Element:
    return ET.fromstring(document, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True, insert_pis=True)))


def test_reading_and_writing_loses_nothing(documents: list[tuple[Path, str]]) -> None:
    lost = [path.name for path, document in documents if _said(_read(text(parse(document)))) != _said(_read(document))]
    assert lost == []


def test_nothing_differs_from_itself_and_a_field_s_change_is_the_only_one(documents: list[tuple[Path, str]]) -> None:
    tried = 0
    for path, document in documents:
        root, domain = parse(document), Domain.parse(document)
        targets = [disk.target for disk in domain.disks]
        if root.tag != "domain" or not targets or len(set(targets)) < len(targets):
            continue
        assert changes(root, root) == [], path.name
        edits.set_disk(domain, targets[0], DiskSettings(cache="directsync"))
        found = changes(root, domain.node)
        expected = [] if flatten(root).get(f"disk[{targets[0]}]/driver@cache") == "directsync" else ["directsync"]
        assert [change.new for change in found] == expected, path.name
        tried += 1
    assert tried > LEAST / 4
