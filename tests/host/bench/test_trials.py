"""Each trial once, small, on this very host; what it finds depends on the host, and is not asked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from host.trees import plant
from virtkit.core.errors import NotSupportedError, SystemCallError, UsageError
from virtkit.core.progress import Advanced, Finished, Started
from virtkit.core.system import System
from virtkit.core.units import MIB
from virtkit.host.bench.pairs import take
from virtkit.host.bench.trial import Setup
from virtkit.host.bench.trials import cache, jitter, memory, scheduler
from virtkit.host.bench.walk import SMALL, TRANSPARENT, walk

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.core.progress import Event

THP, POOL = "/sys/kernel/mm/transparent_hugepage", "/sys/devices/system/node/node0/hugepages/hugepages-2048kB"


def setup(a: str, b: str, directory: Path | str = "/var/tmp", load: str = "commit") -> Setup:
    return Setup(a, b, str(directory), 64 * MIB, load)


def test_sides_are_measured_in_turns_and_the_first_round_does_not_count() -> None:
    seen: list[str] = []
    events: list[Event] = []

    def measure(side: str) -> float:
        seen.append(side)
        return len(seen)

    assert take(measure, "a", "b", 3, events.append) == [(3, 4), (6, 5), (7, 8)]
    assert "".join(seen) == "baabbaab"
    assert isinstance(events[0], Started)
    assert [event.done for event in events if isinstance(event, Advanced)] == [1, 2, 3, 4]
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("pages", [SMALL, TRANSPARENT])
def test_a_step_through_memory_takes_what_a_step_through_memory_takes(pages: str) -> None:
    if pages == TRANSPARENT and "[never]" in System().read(f"{THP}/enabled"):
        pytest.skip("this host has no transparent huge pages: never")
    assert 1 < walk(32 * MIB, pages, seed=1) < 10_000


def test_a_walk_through_the_caches_is_faster_than_one_through_memory() -> None:
    assert min(walk(2 * MIB, SMALL, seed) for seed in range(3)) < walk(256 * MIB, SMALL, seed=1)


def test_memory_borrows_what_the_host_lacks(tmp_path: Path) -> None:
    files = {
        f"{THP}/enabled": "always madvise [never]",
        "/sys/devices/system/cpu/online": "0",
        "/sys/devices/system/node/online": "0",
        "/sys/devices/system/node/node0/cpumap": "1",
        f"{POOL}/nr_hugepages": "10",
        f"{POOL}/free_hugepages": "4",
    }
    system = plant(tmp_path, files)
    assert memory.TRIAL.borrows(system, setup("4K", "THP")) == {"thp.enabled": "madvise"}
    assert memory.TRIAL.borrows(system, setup("4K", "hugetlb")) == {"hugepages.2M@0": "38"}
    system.write(f"{POOL}/free_hugepages", "32")
    assert memory.TRIAL.borrows(system, setup("4K", "hugetlb")) == {}


@pytest.mark.parametrize(("size", "why"), [(0, "multiple of 2 MiB"), (3 * MIB, "multiple"), (1 << 60, "can spare")])
def test_a_walk_is_through_as_much_as_there_is(size: int, why: str) -> None:
    with pytest.raises((UsageError, NotSupportedError), match=f"--size is .*{why}"):
        memory.TRIAL.borrows(System(), setup("4K", "THP")._replace(size=size))


@pytest.mark.parametrize("load", ["commit", "write", "read"])
def test_every_cache_mode_answers(load: str) -> None:
    with cache.TRIAL.ready(System(), setup("directsync", "unsafe", load=load)) as measure:
        assert measure("directsync") > 0
        assert measure("unsafe") > 0


def test_a_directory_that_takes_no_file_is_named() -> None:
    with (
        pytest.raises(SystemCallError, match="scratch file in /proc"),
        cache.TRIAL.ready(System(), setup("none", "unsafe", "/proc")),
    ):
        pass


def test_a_pause_is_longer_than_a_look_at_the_clock_and_the_affinity_comes_back() -> None:
    before = os.sched_getaffinity(0)
    if len(before) == 1:
        pytest.skip("needs two CPUs")
    with jitter.TRIAL.ready(System(), setup("free", "pinned")) as measure:
        assert measure("pinned") > 0.01
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_the_disk_below_a_directory_is_the_whole_disk(tmp_path: Path) -> None:
    device = os.stat(tmp_path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    queue = {"/sys/devices/pci/vda/queue/scheduler": "none [mq-deadline] bfq"}
    system = plant(tmp_path, queue | {"/sys/devices/pci/vda/vda1/partition": "1"})
    system.path("/sys/dev/block").mkdir(parents=True)
    system.path("/sys/block").mkdir()
    system.path("/sys/block/vda").symlink_to("../devices/pci/vda")
    with pytest.raises(NotSupportedError, match="on no disk of its own"):
        scheduler.disk_below(system, str(tmp_path))
    system.path(f"/sys/dev/block/{number}").symlink_to("../../devices/pci/vda/vda1")
    assert scheduler.TRIAL.sides(system, str(tmp_path)) == ("mq-deadline", "none", "bfq")
    assert scheduler.TRIAL.borrows(system, setup("mq-deadline", "bfq", tmp_path)) == {"block.scheduler@vda": "bfq"}
    assert scheduler.TRIAL.borrows(system, setup("none", "mq-deadline", tmp_path)) == {"block.scheduler@vda": "none"}
