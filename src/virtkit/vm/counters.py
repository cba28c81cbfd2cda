"""What libvirt counts of machines: one call for all of them (virConnectGetAllDomainStats, libvirt-domain.c).

Counters only grow while a machine's QEMU lives; ``loads.py`` makes rates of two looks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import KIB
from virtkit.vm import library
from virtkit.vm.machine import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.vm.connection import Connection


class VcpuCounters(NamedTuple):
    number: int
    state: int  # virVcpuState: 0 offline, 1 running, 2 blocked
    time: int  # nanoseconds on a host CPU
    wait: int | None  # ns of the scheduler's wait_sum: 0 unless the host's kernel.sched_schedstats is 1
    delay: int | None  # ns that it was ready and had no host CPU: what the guest sees as steal


class MemoryCounters(NamedTuple):
    """Bytes; what the guest's balloon driver tells is None without one, or while nobody asks it."""

    maximum: int | None
    current: int | None  # that the balloon leaves
    rss: int | None  # resident in the host's memory, QEMU's own included, huge pages not
    available: int | None  # all that the guest's system has
    usable: int | None  # that programs could have without swapping: MemAvailable
    unused: int | None  # MemFree
    disk_caches: int | None
    swap_in: int | None
    swap_out: int | None
    major_fault: int | None  # a number
    minor_fault: int | None
    last_update: int | None  # seconds since 1970 when the guest told this last

    @property
    def used(self) -> int | None:
        """In the guest's view: what programs and the kernel hold, caches not."""
        free = self.unused if self.usable is None else self.usable
        return None if self.available is None or free is None else self.available - free


class DiskCounters(NamedTuple):
    name: str  # vda
    path: str  # empty: a network disk or an empty drive
    read_bytes: int | None
    read_requests: int | None
    read_time: int | None  # nanoseconds
    write_bytes: int | None
    write_requests: int | None
    write_time: int | None
    flush_requests: int | None
    flush_time: int | None
    allocation: int | None  # offset of the highest byte written
    capacity: int | None  # bytes that the guest sees
    physical: int | None  # bytes of its file or device


class CardCounters(NamedTuple):
    """As the guest sees it: what it receives, its tap device transmits."""

    name: str  # the tap: vnet0
    receive_bytes: int | None
    receive_packets: int | None
    receive_errors: int | None
    receive_drops: int | None
    transmit_bytes: int | None
    transmit_packets: int | None
    transmit_errors: int | None
    transmit_drops: int | None


class Counters(NamedTuple):
    name: str
    uuid: str
    state: int  # virDomainState: an index of STATES
    cpu_time: int | None  # nanoseconds of the whole QEMU; None while it is off
    vcpus_current: int | None
    vcpus: tuple[VcpuCounters, ...]
    memory: MemoryCounters
    disks: tuple[DiskCounters, ...]
    cards: tuple[CardCounters, ...]

    @property
    def active(self) -> bool:
        return STATES[self.state] in ("running", "idle", "paused", "in shutdown", "pmsuspended")

    @property
    def mute(self) -> bool:
        """Whether its QEMU does not answer libvirt now: it hangs, or another job has it."""
        return self.active and self.cpu_time is not None and self.memory.rss is None


class Round(NamedTuple):
    """One look at all machines."""

    at: float  # seconds of the monotonic clock
    machines: tuple[Counters, ...]  # by name


def look(libvirt: Connection, only: Sequence[str] = ()) -> Round:
    """One call, whatever the number of machines; of one that another call waits for, only what libvirt itself counts.

    ``only`` these; what has been undefined meanwhile is left out.
    """
    chosen = [machine.raw for name in only if (machine := libvirt.find(name))]
    before = time.monotonic()
    if only:
        said = libvirt.host.ask(list, "domainListGetStats", chosen, _WANTED, library.STATS_NOWAIT) if chosen else []
    else:
        said = libvirt.host.ask(list, "getAllDomainStats", _WANTED, library.STATS_NOWAIT)
    at = (before + time.monotonic()) / 2
    named = [(library.Handle(raw, libvirt.uri), stats) for raw, stats in said]
    found = [parse(handle.ask(str, "name"), handle.ask(str, "UUIDString"), stats) for handle, stats in named]
    return Round(at, tuple(sorted(found, key=lambda machine: machine.name)))


_WANTED = 1 | 2 | 4 | 8 | 16 | 32  # virDomainStatsTypes: state, CPU, balloon, vCPU, interface, block


def parse(name: str, uuid: str, said: Mapping[str, object]) -> Counters:
    """Of what libvirt says of one machine: ``{"cpu.time": 5000000000, "block.0.name": "vda" ...}``."""
    return Counters(
        name,
        uuid,
        state=_number(said, "state.state") or 0,
        cpu_time=_number(said, "cpu.time"),
        vcpus_current=_number(said, "vcpu.current"),
        vcpus=tuple(_vcpu(said, number) for number in _numbers(said, "vcpu")),
        memory=_memory(said),
        disks=tuple(_disk(said, number) for number in _numbers(said, "block")),
        cards=tuple(_card(said, number) for number in _numbers(said, "net")),
    )


def _numbers(said: Mapping[str, object], group: str) -> list[int]:
    """Which vCPUs, disks, cards there are; vCPUs that are offline leave gaps."""
    seconds = (key.split(".")[1] for key in said if key.startswith(f"{group}."))
    return sorted({int(second) for second in seconds if second.isdecimal()})


def _vcpu(said: Mapping[str, object], number: int) -> VcpuCounters:
    state, time, wait, delay = (_number(said, f"vcpu.{number}.{key}") for key in ("state", "time", "wait", "delay"))
    return VcpuCounters(number, state or 0, time or 0, wait, delay)


def _memory(said: Mapping[str, object]) -> MemoryCounters:
    sizes = MemoryCounters._fields[: MemoryCounters._fields.index("major_fault")]
    kib = [_number(said, f"balloon.{key}") for key in sizes]
    rest = [_number(said, f"balloon.{key}") for key in ("major_fault", "minor_fault", "last-update")]
    return MemoryCounters(*[None if size is None else size * KIB for size in kib], *rest)


def _disk(said: Mapping[str, object], number: int) -> DiskCounters:
    at = f"block.{number}"
    keys = ("rd.bytes", "rd.reqs", "rd.times", "wr.bytes", "wr.reqs", "wr.times", "fl.reqs", "fl.times")
    counted = [_number(said, f"{at}.{key}") for key in (*keys, "allocation", "capacity", "physical")]
    return DiskCounters(str(said.get(f"{at}.name", "")), str(said.get(f"{at}.path", "")), *counted)


def _card(said: Mapping[str, object], number: int) -> CardCounters:
    at = f"net.{number}"
    counted = [_number(said, f"{at}.{way}.{key}") for way in ("rx", "tx") for key in ("bytes", "pkts", "errs", "drop")]
    return CardCounters(str(said.get(f"{at}.name", "")), *counted)


def _number(said: Mapping[str, object], key: str) -> int | None:
    found = said.get(key)
    return found if isinstance(found, int) else None
