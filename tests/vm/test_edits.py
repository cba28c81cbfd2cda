from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import NotFoundError, UsageError
from virtkit.core.units import GIB, KIB, MIB
from virtkit.vm import edits
from virtkit.vm.blueprint import Blueprint, Disk, Nic, machine_xml
from virtkit.vm.difference import changes, flatten
from virtkit.vm.domain import Domain
from virtkit.vm.edits import DiskSettings, NicSettings
from virtkit.vm.xml import element

if TYPE_CHECKING:
    from collections.abc import Callable

MAC = "52:54:00:00:00:01"
PLAN = Blueprint("x", GIB, 2, (Disk("/a", "qcow2"), Disk("/b", "raw")), (Nic(bridge="br0", mac=MAC),))


def fresh() -> Domain:
    domain = Domain.parse(machine_xml(PLAN))
    domain.devices.append(Domain.parse("<disk device='cdrom'><target dev='sda'/></disk>").node)
    return domain


def changed(edit: Callable[[Domain], None]) -> dict[str, str]:
    domain = fresh()
    edit(domain)
    return {change.path: change.new for change in changes(fresh().node, domain.node)}


@given(st.integers(1, 64), st.integers(1, 64))
def test_vcpus_are_as_asked_and_nothing_else_changes(count: int, most: int) -> None:
    domain = fresh()
    if count > most:
        with pytest.raises(UsageError, match=f"expected 1 to {most}"):
            edits.set_cpus(domain, count, most)
        return
    edits.set_cpus(domain, count, most)
    found = flatten(domain.node)
    assert (found["vcpu"], found["vcpu@current"]) == (str(most), str(count))
    assert {change.path for change in changes(fresh().node, domain.node)} <= {"vcpu", "vcpu@current"}


@given(st.integers(1024, 1 << 22), st.integers(1024, 1 << 22))
def test_memory_is_as_asked_and_stays_whole(kib: int, most: int) -> None:
    domain = fresh()
    edits.set_room(domain, 1 << 40, 4)
    edits.set_memory(domain, kib * KIB, max(kib, most) * KIB)
    assert (domain.balloon, domain.memory) == (kib * KIB, max(kib, most) * KIB)
    cell = domain.node.find("cpu/numa/cell")
    assert cell is not None
    assert int(cell.get("memory", "")) * KIB == domain.memory


@given(
    st.sampled_from([*edits.CACHES, None]),
    st.sampled_from(["threads", "io_uring", None]),
    st.none() | st.integers(0, 4),
    st.none() | st.dictionaries(st.sampled_from(sorted(edits.LIMITS)), st.integers(0, 1 << 40)),
)
def test_a_disk_is_as_asked_and_the_other_devices_stay(
    cache: str | None, io: str | None, iothread: int | None, limits: dict[str, int] | None
) -> None:
    domain = fresh()
    edits.set_disk(domain, "vdb", DiskSettings(cache=cache, io=io, iothread=iothread, limits=limits))
    found = flatten(domain.node)
    assert found.get("disk[vdb]/driver@cache", "") == ("" if cache in (None, "default") else cache)
    for option, value in (limits or {}).items():
        assert found.get(f"disk[vdb]/iotune/{edits.LIMITS[option]}", "0") == str(value)
    paths = {change.path for change in changes(fresh().node, domain.node)}
    assert all(path.startswith("disk[vdb]/") or path == "iothreads" for path in paths)
    assert domain.iothreads == (iothread or 0)


def test_native_io_needs_a_cache_mode_that_passes_the_page_cache_by() -> None:
    with pytest.raises(UsageError, match="cache of vda is not given, expected none or directsync with io native") as no:
        edits.set_disk(fresh(), "vda", DiskSettings(io="native"))
    assert no.value.hint.endswith("disk vda --cache none, or ... --io threads")
    assert changed(lambda domain: edits.set_disk(domain, "vda", DiskSettings(cache="none", io="native"))) == {
        "disk[vda]/driver@cache": "none",
        "disk[vda]/driver@io": "native",
    }


def test_the_boot_order_of_kinds_becomes_one_of_devices() -> None:
    order = changed(lambda domain: edits.set_nic(domain, MAC, NicSettings(boot=1)))
    assert order == {"os/boot@dev": "", "disk[vda]/boot@order": "2", f"interface[{MAC}]/boot@order": "1"}


@given(st.lists(st.tuples(st.sampled_from(["vda", "vdb", "sda"]), st.integers(0, 4)), max_size=6))
def test_the_boot_order_has_no_gaps_and_no_doubles(moves: list[tuple[str, int]]) -> None:
    domain = fresh()
    for target, place in moves:
        edits.set_disk(domain, target, DiskSettings(boot=place))
    numbers = sorted(int(node.get("order", "")) for node in domain.node.findall("devices/*/boot"))
    assert numbers == list(range(1, len(numbers) + 1))
    assert not (numbers and domain.node.findall("os/boot"))


def test_a_card_moves_and_loses_what_belonged_to_its_old_place() -> None:
    domain = fresh()
    domain.nics[0].node.append(Domain.parse("<virtualport type='openvswitch'/>").node)
    edits.set_nic(domain, MAC, NicSettings(network="default", link="down"))
    found = flatten(domain.node)
    assert found[f"interface[{MAC}]@type"] == "network"
    assert found[f"interface[{MAC}]/source@network"] == "default"
    assert not {path for path in found if "virtualport" in path or path.endswith("source@bridge")}


def test_a_medium_is_for_drives_alone() -> None:
    assert changed(lambda domain: edits.set_disk(domain, "sda", DiskSettings(medium="/x.iso"))) == {
        "disk[sda]/source@file": "/x.iso"
    }
    with pytest.raises(UsageError, match="vda is a disk, expected a cdrom"):
        edits.set_disk(fresh(), "vda", DiskSettings(medium="/x.iso"))


def test_ports_get_the_next_numbers() -> None:
    assert set(changed(lambda domain: edits.add_ports(domain, 2))) == {"controller[pci 1]", "controller[pci 2]"}


@pytest.mark.parametrize(
    ("edit", "error", "said"),
    [
        (lambda domain: edits.set_memory(domain, KIB), UsageError, "memory is 1024 bytes, expected 1 MiB to 1 GiB"),
        (
            lambda domain: edits.set_room(domain, MIB, 1),
            UsageError,
            "room is 1 MiB in 1 slots, expected more than 1 GiB",
        ),
        (lambda domain: edits.add_ports(domain, 0), UsageError, "ports is 0 on q35, expected 1 to 16"),
        (lambda domain: edits.set_disk(domain, "vdx", DiskSettings()), NotFoundError, "one of: vda, vdb, sda"),
        (lambda domain: edits.set_nic(domain, "0", NicSettings()), NotFoundError, f"one of: {MAC}"),
    ],
)
def test_what_cannot_be_is_said(edit: Callable[[Domain], None], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        edit(fresh())


def test_a_serial_log_that_libvirt_shows_in_the_console_too_is_changed_in_both() -> None:
    domain = fresh()
    edits.set_serial_log(domain, "/a.log")
    domain.consoles[0].node.insert(0, element("log", {"file": "/a.log", "append": "on"}))
    edits.set_serial_log(domain, "/b.log")
    assert [node.get("file") for node in domain.node.iter("log")] == ["/b.log", "/b.log"]


def test_a_serial_log_is_set_once_and_taken_away_and_a_screen_is_added_once() -> None:
    domain = fresh()
    for path in ("/a.log", "/b.log"):
        edits.set_serial_log(domain, path)
    assert [node.get("file") for node in domain.node.iter("log")] == ["/b.log"]
    edits.set_serial_log(domain, "")
    assert domain.text() == fresh().text()
    with pytest.raises(UsageError, match="expected an absolute path"):
        edits.set_serial_log(domain, "a.log")
    edits.add_screen(domain)
    assert [graphics.listen for graphics in domain.graphics] == ["socket"]
    with pytest.raises(UsageError, match="has a screen already"):
        edits.add_screen(domain)
