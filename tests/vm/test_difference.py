from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from virtkit.vm.difference import Change, changes, devices, flatten, lines, split
from virtkit.vm.xml import element, parse

if TYPE_CHECKING:
    from virtkit.vm.xml import Element

DOMAIN = """\
<domain type='qemu'>
  <name>x</name>
  <memory unit='MiB'>64</memory>
  <vcpu>4</vcpu>
  <features><acpi/></features>
  <devices>
    <disk type='file'><driver cache='none'/><source file='/a'/><target dev='vda'/></disk>
    <disk type='file'><source file='/b'/><target dev='vdb'/></disk>
    <interface type='bridge'><mac address='52:54:00:AA:00:01'/><source bridge='br0'/></interface>
    <memory model='dimm'><target><size unit='MiB'>128</size></target><alias name='ua-m'/></memory>
    <rng model='virtio'/><rng model='virtio'/>
  </devices>
</domain>"""

words = st.text("abc09-_:/ ", min_size=1, max_size=6).map(str.strip).filter(bool)
attributes = st.dictionaries(st.sampled_from(["k", "type", "order"]), words, max_size=2)


def _nodes(children: st.SearchStrategy[Element]) -> st.SearchStrategy[Element]:
    return st.builds(
        lambda tag, made, below: element(tag, made, *below), tags, attributes, st.lists(children, max_size=4)
    )


tags = st.sampled_from(["cpu", "feature", "disk", "a", "os"])
trees = st.recursive(st.builds(lambda tag, made, said: element(tag, made, text=said), tags, attributes, words), _nodes)
documents = st.lists(trees, max_size=5).map(lambda below: element("domain", {}, *below))


def test_a_path_says_which_device_by_what_it_is_known_by() -> None:
    names = devices(parse(DOMAIN))
    assert list(names) == ["disk[vda]", "disk[vdb]", "interface[52:54:00:aa:00:01]", "dimm[ua-m]", "rng[1]", "rng[2]"]
    assert split("disk[vda]/driver@cache") == ("disk", "vda", "driver@cache")
    assert split("interface[52:54:00:aa:00:01]@type") == ("interface", "52:54:00:aa:00:01", "@type")
    assert split("vcpu@current") == ("", "", "vcpu@current")


def test_sizes_compare_whatever_their_unit_and_what_is_unsaid_follows() -> None:
    other = parse(DOMAIN.replace("<memory unit='MiB'>64<", "<memory unit='KiB'>65536<"))
    assert changes(parse(DOMAIN), other) == []
    assert flatten(other)["currentMemory"] == str(64 << 20)
    assert flatten(other)["vcpu@current"] == "4"


def test_a_device_that_moves_in_the_document_does_not_change() -> None:
    moved = parse(DOMAIN)
    below = moved.find("devices")
    assert below is not None
    below.append(first := below[0])
    below.remove(first)
    assert changes(parse(DOMAIN), moved) == []


def test_a_device_that_comes_or_goes_is_one_change() -> None:
    without = parse(DOMAIN)
    below = without.find("devices")
    assert below is not None
    below.remove(below[1])
    gone = changes(parse(DOMAIN), without)
    assert gone == [Change("disk[vdb]", "/b", "")]
    assert gone[0].whole
    assert changes(without, parse(DOMAIN)) == [Change("disk[vdb]", "", "/b")]


def test_empty_elements_count() -> None:
    assert changes(parse(DOMAIN), parse(DOMAIN.replace("<acpi/>", "<acpi/><apic/>"))) == [
        Change("features/apic", "", "present")
    ]


def test_lines_show_what_changed_and_not_the_white_space() -> None:
    assert lines(parse(DOMAIN), parse(DOMAIN.replace("\n", "").replace("  ", ""))) == []
    shown = lines(parse(DOMAIN), parse(DOMAIN.replace("cache='none'", "cache='writeback'")))
    assert [line.strip("+- ") for line in shown if line[0] in "+-"] == [
        '<driver cache="none" />',
        '<driver cache="writeback" />',
    ]


@given(documents)
def test_nothing_differs_from_itself(document: Element) -> None:
    assert changes(document, deepcopy(document)) == []
    assert lines(document, deepcopy(document)) == []


@given(documents, documents)
def test_the_changes_lead_from_one_document_to_the_other_and_back(old: Element, new: Element) -> None:
    there, back = changes(old, new), changes(new, old)
    assert {(change.path, change.old, change.new) for change in there} == {
        (change.path, change.new, change.old) for change in back
    }
    led = {**flatten(old), **{change.path: change.new for change in there}}
    assert all(led[path] in (value, "present") for path, value in flatten(new).items())


@given(documents, st.data())
def test_one_edited_attribute_is_one_change(document: Element, data: st.DataObject) -> None:
    edited = deepcopy(document)
    node = data.draw(st.sampled_from([each for each in edited.iter() if each is not edited] or [edited]))
    node.set("edited", "yes")
    found = [change for change in changes(document, edited) if change.new]
    assert [(change.path.rpartition("@")[2], change.new) for change in found] == [("edited", "yes")]
