"""The counters of all running machines, in one call: virConnectGetAllDomainStats, as ``virsh domstats`` shows them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import KIB
from virtkit.vm.library import Handle
from virtkit.vm.machine import STATES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.vm.connection import Connection

_WANTED = 1 | 2 | 4 | 8 | 16 | 32  # VIR_DOMAIN_STATS_STATE, _CPU_TOTAL, _BALLOON, _VCPU, _INTERFACE, _BLOCK
_ACTIVE, _NOWAIT = 1, 1 << 29  # virConnectGetAllDomainStatsFlags: one that hangs does not stop the others
_NANO = 1e-9


class Vcpu(NamedTuple):
    """Seconds since it was started; None is what this libvirt does not tell."""

    number: int
    state: int  # 0 offline, 1 running, 2 blocked: virVcpuState
    time: float
    wait: float | None  # it waited for I/O
    delay: float | None  # it was ready, and the host's CPUs were busy: the guest's steal time


class Disk(NamedTuple):
    name: str  # vda
    path: str
    reads: int
    read_bytes: int
    read_time: float  # seconds
    writes: int
    write_bytes: int
    write_time: float
    flushes: int
    flush_time: float
    allocation: int  # bytes; highest written of an image on a device
    capacity: int  # that the guest sees
    physical: int  # of the file


class Nic(NamedTuple):
    name: str  # the host's: vnet0
    received: int  # bytes that the guest received
    received_packets: int
    received_errors: int
    received_drops: int
    sent: int
    sent_packets: int
    sent_errors: int
    sent_drops: int


class Memory(NamedTuple):
    """Bytes. What the guest says is None where its balloon driver says nothing, or is not asked."""

    current: int  # that it has now
    maximum: int
    rss: int  # of QEMU, as libvirt reads it
    total: int | None  # that the guest sees
    unused: int | None  # without what it caches
    usable: int | None  # that it could use without swapping
    caches: int | None
    major_faults: int | None
    minor_faults: int | None


class Counters(NamedTuple):
    name: str
    uuid: str
    state: str  # virsh's words
    state_number: int  # virDomainState
    at: float  # seconds of the monotonic clock
    cpu: float  # seconds of CPU time, of all its threads
    vcpus: tuple[Vcpu, ...]  # that it has now
    vcpus_maximum: int
    memory: Memory
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]


def read(libvirt: Connection) -> list[Counters]:
    """Of all running machines, by name."""
    records = libvirt.host.ask(list, "getAllDomainStats", _WANTED, _ACTIVE | _NOWAIT)
    at = time.monotonic()
    return sorted((_counters(Handle(raw, libvirt.uri), found, at) for raw, found in records), key=lambda one: one.name)


def _counters(machine: Handle, found: Mapping[str, int | str], at: float) -> Counters:
    number = int(found.get("state.state", 0))
    return Counters(
        name=machine.ask(str, "name"),
        uuid=machine.ask(str, "UUIDString"),
        state=STATES[number] if number < len(STATES) else f"state {number}",
        state_number=number,
        at=at,
        cpu=int(found.get("cpu.time", 0)) * _NANO,
        vcpus=tuple(_vcpus(found)),
        vcpus_maximum=int(found.get("vcpu.maximum", 0)),
        memory=_memory(found),
        disks=tuple(_disk(found, f"block.{index}.") for index in range(int(found.get("block.count", 0)))),
        nics=tuple(_nic(found, f"net.{index}.") for index in range(int(found.get("net.count", 0)))),
    )


def _vcpus(found: Mapping[str, int | str]) -> list[Vcpu]:
    """Their numbers may have holes: those that are off are left out."""
    numbers = [index for index in range(int(found.get("vcpu.maximum", 0))) if f"vcpu.{index}.state" in found]
    return [
        Vcpu(
            index,
            int(found[f"vcpu.{index}.state"]),
            int(found.get(f"vcpu.{index}.time", 0)) * _NANO,
            _seconds(found, f"vcpu.{index}.wait"),
            _seconds(found, f"vcpu.{index}.delay"),
        )
        for index in numbers
    ]


def _memory(found: Mapping[str, int | str]) -> Memory:
    def known(key: str, unit: int = KIB) -> int | None:
        return int(found[f"balloon.{key}"]) * unit if f"balloon.{key}" in found else None

    return Memory(
        current=known("current") or 0,
        maximum=known("maximum") or 0,
        rss=known("rss") or 0,
        total=known("available"),
        unused=known("unused"),
        usable=known("usable"),
        caches=known("disk_caches"),
        major_faults=known("major_fault", 1),
        minor_faults=known("minor_fault", 1),
    )


def _disk(found: Mapping[str, int | str], start: str) -> Disk:
    numbers = _numbers(found, start, ("rd.reqs", "rd.bytes", "rd.times", "wr.reqs", "wr.bytes", "wr.times"))
    more = _numbers(found, start, ("fl.reqs", "fl.times", "allocation", "capacity", "physical"))
    reads, read_bytes, read_time, writes, write_bytes, write_time = numbers
    flushes, flush_time, allocation, capacity, physical = more
    return Disk(
        str(found.get(f"{start}name", "")),
        str(found.get(f"{start}path", "")),
        reads,
        read_bytes,
        read_time * _NANO,
        writes,
        write_bytes,
        write_time * _NANO,
        flushes,
        flush_time * _NANO,
        allocation,
        capacity,
        physical,
    )


def _nic(found: Mapping[str, int | str], start: str) -> Nic:
    keys = [f"{way}.{what}" for way in ("rx", "tx") for what in ("bytes", "pkts", "errs", "drop")]
    return Nic(str(found.get(f"{start}name", "")), *_numbers(found, start, keys))


def _numbers(found: Mapping[str, int | str], start: str, keys: Sequence[str]) -> list[int]:
    return [int(found.get(start + key, 0)) for key in keys]


def _seconds(found: Mapping[str, int | str], key: str) -> float | None:
    return int(found[key]) * _NANO if key in found else None
