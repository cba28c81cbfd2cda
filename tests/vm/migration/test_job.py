from __future__ import annotations

from virtkit.core.progress import Advanced, Event, Note, Started
from virtkit.core.units import MIB
from virtkit.vm.migration.job import Teller, text


def test_a_round_is_told_with_all_that_is_known() -> None:
    seen = {"memory_total": 128 * MIB, "memory_iteration": 2, "data_remaining": 12 * MIB, "memory_bps": 100 * MIB}
    assert text(seen) == "round 2: 12 MiB left, 100 MiB/s"
    seen |= {"memory_dirty_rate": 1024, "memory_page_size": 4096, "auto_converge_throttle": 20, "downtime": 300}
    told = "; the guest writes 4 MiB/s; its CPUs are slowed by 20 %; it would stand still for 300 ms"
    assert text(seen) == "round 2: 12 MiB left, 100 MiB/s" + told
    assert text({"disk_total": MIB, "data_remaining": MIB}) == "disks: 1 MiB left"


def test_the_memory_counts_from_the_start_though_libvirt_begins_with_the_disks() -> None:
    heard: list[Event] = []
    teller = Teller("copy", 128 * MIB, heard.append)
    disk = {"disk_total": 16 * MIB, "disk_remaining": 4 * MIB, "data_remaining": 4 * MIB}
    teller.tell(disk)
    teller.tell({**disk, "disk_remaining": 0, "memory_total": 128 * MIB, "memory_remaining": 28 * MIB})
    moved = [event for event in heard if not isinstance(event, Note)]
    assert moved == [Started("copy", 144 * MIB), Advanced("copy", 12 * MIB), Advanced("copy", 116 * MIB)]


def test_a_guest_that_writes_more_than_it_has_never_goes_below_nothing() -> None:
    heard: list[Event] = []
    teller = Teller("copy", MIB, heard.append)
    teller.tell({"memory_total": MIB, "memory_remaining": 2 * MIB})
    assert heard == [Started("copy", MIB), Advanced("copy", 0)]
