from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import MachineError
from virtkit.vm.devices import Disk
from virtkit.vm.domain import Domain
from virtkit.vm.xml import Bytes, Integer, Text, View, canonical, element, parse, text

if TYPE_CHECKING:
    from collections.abc import Callable

ODD = """\
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' id="7">
  <!-- kept by hand -->
  <name>odd &amp; "quoted"</name>
  <metadata>
    <app:x xmlns:app="urn:a" app:y='1'><app:x xmlns:app="urn:b"/></app:x>
    <note xmlns="urn:default">one <b>two</b> three<?hint here?></note>
  </metadata>
  <memory unit='GiB'>2</memory>
  <vcpu>4</vcpu>
  <devices>
    <disk type='file'><target dev='vda'/><future thing='1'/></disk>
    <disk type='block'><source dev='/dev/sdb'/><target dev='vdb'/></disk>
  </devices>
  <qemu:commandline><qemu:arg value='-foo'/></qemu:commandline>
</domain>"""

words = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12)
names = st.sampled_from(["domain", "disk", "a", "q:b", "c-d"])
trees = st.recursive(
    st.builds(lambda tag, said: element(tag, {"k": said}, text=said), names, words),
    lambda children: st.builds(lambda tag, below: element(tag, {}, *below), names, st.lists(children, max_size=3)),
    max_leaves=12,
)


class Sample(View):
    name = Text("name")
    cache = Text("driver@cache")
    count = Integer("vcpu")
    memory = Bytes("memory")


def expanded(node: ET.Element) -> tuple[object, ...]:
    """All that a document says, with namespaces resolved, by the standard library's own reader."""
    return node.tag, sorted(node.attrib.items()), node.text, node.tail, [expanded(child) for child in node]


def read(document: str) -> ET.Element:
    return ET.fromstring(document, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True, insert_pis=True)))


def test_what_has_no_field_survives_reading_and_writing() -> None:
    assert expanded(read(text(parse(ODD)))) == expanded(read(ODD))


def test_prefixes_and_unused_declarations_are_kept_as_written() -> None:
    written = text(parse(ODD))
    for kept in ("<qemu:arg ", 'xmlns:qemu="http', '<app:x xmlns:app="urn:b"', 'xmlns="urn:default"', "<?hint here?>"):
        assert kept in written


def test_a_change_through_a_field_changes_nothing_else() -> None:
    domain = Domain.parse(ODD)
    domain.disks[0].cache = "none"
    domain.disks[0].cache = ""
    domain.disks[0].node.remove(domain.disks[0].node.findall("driver")[0])
    assert expanded(read(domain.text())) == expanded(read(ODD))


@given(trees)
def test_any_tree_comes_back_as_it_was_written(tree: ET.Element) -> None:
    assert expanded(parse(text(tree))) == expanded(tree)


@given(trees)
def test_white_space_and_comments_do_not_count_in_the_canonical_form(tree: ET.Element) -> None:
    spaced = parse(text(tree))
    if len(spaced) and not spaced.text:
        spaced.text = "\n  "
        spaced.insert(0, ET.Comment("said"))
    assert canonical(spaced) == canonical(tree)


def test_the_canonical_form_tells_apart_what_is_different() -> None:
    documents = [
        "<a/>",
        "<a k='1'/>",
        "<a>1</a>",
        "<a><b/></a>",
        "<a><b/><c/></a>",
        "<a><c/><b/></a>",
        "<a><b><c/></b></a>",
    ]
    assert len({canonical(parse(document)) for document in documents}) == len(documents)


@given(words)
def test_a_field_reads_back_what_was_written(said: str) -> None:
    view = Sample(element("sample"))
    view.name = said
    view.cache = said
    again = Sample(parse(text(view.node)))
    assert (again.name, again.cache) == (said.strip(), said)


@given(st.integers(0, 1 << 50))
def test_sizes_are_bytes_in_whole_kibibytes(size: int) -> None:
    view = Sample(element("sample"))
    view.memory = size
    assert 0 <= view.memory - size < 1024


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("<memory>1</memory>", 1024),
        ("<memory unit='b'>7</memory>", 7),
        ("<memory unit='GB'>1</memory>", 10**9),
        ("<memory unit='GiB'>1</memory>", 1 << 30),
        ("", 0),
    ],
)
def test_units_are_libvirts(written: str, size: int) -> None:
    assert Sample(parse(f"<sample>{written}</sample>")).memory == size


@pytest.mark.parametrize(
    ("document", "look"),
    [
        ("<sample><vcpu>-1</vcpu></sample>", lambda view: view.count),
        ("<sample><vcpu>1e3</vcpu></sample>", lambda view: view.count),
        ("<sample><vcpu>" + "9" * 5000 + "</vcpu></sample>", lambda view: view.count),
        ("<sample><memory unit='furlong'>1</memory></sample>", lambda view: view.memory),
    ],
)
def test_a_number_that_is_none_is_said_with_its_field(document: str, look: Callable[[Sample], int]) -> None:
    with pytest.raises(MachineError, match="expected"):
        look(Sample(parse(document)))


def test_an_empty_value_removes_the_attribute_or_the_element() -> None:
    view = Sample(parse("<sample><name>x</name><driver cache='none' io='native'/></sample>"))
    view.name = ""
    view.cache = ""
    assert text(view.node) == '<sample><driver io="native" /></sample>'


def test_entities_are_refused_before_they_expand() -> None:
    laughs = "<!DOCTYPE d [<!ENTITY a 'ha'><!ENTITY b '&a;&a;'>]><domain>&b;</domain>"
    with pytest.raises(MachineError, match="DOCTYPE"):
        parse(laughs)


@pytest.mark.parametrize("broken", ["", "<a>", "<a></b>", "no xml", "<a/><b/>", "<a b=1/>"])
def test_what_is_no_xml_is_said_with_its_place(broken: str) -> None:
    with pytest.raises(MachineError, match="line 1, column"):
        parse(broken)


def test_a_disk_says_where_its_bytes_are_whatever_kind_it_is() -> None:
    kinds = {"file": "/a.raw", "dev": "/dev/sdb", "name": "pool/vol", "volume": "vol"}
    for attribute, place in kinds.items():
        disk = Disk(parse(f"<disk><source {attribute}='{place}'/></disk>"))
        assert disk.source == place
    assert Disk(parse("<disk device='cdrom'/>")).source == ""
