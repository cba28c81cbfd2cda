"""What QEMU's block layer really does, asked from QEMU: libvirt's XML says only what it was told.

``query-block`` of QMP: https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.vm.machine import Machine

MODES = {  # (writeback, direct, no-flush) -> the name of the mode; qemu(1), -drive cache=
    (True, False, False): "writeback",
    (True, True, False): "none",
    (False, False, False): "writethrough",
    (False, True, False): "directsync",
    (True, False, True): "unsafe",
}


class BlockCache(NamedTuple):
    """One disk of a running machine."""

    target: str  # vda, as in the XML
    file: str
    mode: str  # none, writeback, writethrough, directsync, unsafe; "other" for what has no name
    writeback: bool  # the guest is told that there is a write cache, and sends flushes
    direct: bool  # the host's page cache is passed by (O_DIRECT)
    no_flush: bool  # the guest's flushes are thrown away


def block_caches(machine: Machine) -> list[BlockCache]:
    """In the XML's order; drives without a medium are left out. MachineError while the machine is off."""
    devices = machine.monitor({"execute": "query-block"})
    entries = [entry for entry in devices if isinstance(entry, dict)] if isinstance(devices, list) else []
    return [
        _cache(disk.target, entry["inserted"])
        for disk in machine.now().disks
        for entry in entries
        if disk.alias in _parts(entry.get("qdev")) and entry.get("inserted")
    ]


def _parts(qdev: Json) -> list[str]:
    """``/machine/peripheral/virtio-disk0/virtio-backend`` -> its names; one of them is libvirt's alias."""
    return str(qdev).split("/")


def _cache(target: str, inserted: Json) -> BlockCache:
    medium = inserted if isinstance(inserted, dict) else {}
    cache = medium.get("cache")
    flags = cache if isinstance(cache, dict) else {}
    writeback, direct, no_flush = (flags.get(key) is True for key in ("writeback", "direct", "no-flush"))
    mode = MODES.get((writeback, direct, no_flush), "other")
    return BlockCache(target, str(medium.get("file", "")), mode, writeback, direct, no_flush)
