"""How QEMU treats a machine's disks: https://libvirt.org/formatdomain.html#hard-drives-floppy-disks-cdroms."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile
from virtkit.host.knob import Evidence
from virtkit.recipes.advice.wish import Wish
from virtkit.recipes.workload import POLICIES
from virtkit.vm.edits import DiskSettings, set_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.recipes.advice.wish import Rule, View
    from virtkit.vm.devices import Disk

DIRECT = ("none", "directsync")  # QEMU opens the image with O_DIRECT
_FLUSHED = ("writethrough", "directsync")  # each write of the guest is flushed
_DEFAULT = "writeback"  # QEMU's, where the definition says nothing
_HUNG = (7, 1)  # QEMU: io_uring in an I/O thread stops (gitlab.com/qemu-project/qemu, issue 1193)
_QUICK = (Profile.DATABASE, Profile.REALTIME)

_TABLE = Evidence(
    "measured",
    "1600 writes of which 800 were flushed: none, writeback 800 fdatasync on the host, writethrough, directsync 1600,"
    " unsafe 0",
    "QEMU 7.2, a guest under TCG, virtio-blk, strace on the host",
)
_BATCH = Evidence("QEMU commit fc73548e", "9.4 % less CPU time by batches of Linux AIO", "the commit's own machine")
_AIO = Evidence("QEMU: aio=native was specified, but it requires cache.direct=on")
_URING = Evidence("gitlab.com/qemu-project/qemu, issue 1193", "QEMU 7.1 stops with io_uring and an I/O thread")
_THREAD = Evidence("IBM, KVM best practices", "an I/O thread for busy disks, not more threads than CPUs")


def _wish(view: View, disk: Disk, why: str, evidence: Evidence, **fields: str) -> Wish:
    """``fields`` of DiskSettings, the word default takes one away."""
    settings = DiskSettings(**fields)  # type: ignore[arg-type]  # those that are text
    options = " ".join(f"--{name} {value}" for name, value in fields.items())
    return Wish(
        f"disk {disk.target}",
        _spelled(disk.cache, disk.io),
        _spelled(*(fields.get(name, getattr(disk, name)).replace("default", "") for name in ("cache", "io"))),
        why,
        (evidence,),
        partial(set_disk, target=disk.target, wanted=settings),
        f"virtkit vm set {view.guest.name} disk {disk.target} {options}",
    )


def _spelled(cache: str, io: str) -> str:
    return f"{cache or _DEFAULT}, {io or 'threads'}"


def _disks(view: View) -> list[Disk]:
    return [disk for disk in view.domain.disks if (disk.device or "disk") == "disk" and not disk.read_only]


def cache(view: View) -> Iterator[Wish]:
    """Where the cache is, and what a flush costs, for what the machine does."""
    for disk in _disks(view):
        now, direct = disk.cache or _DEFAULT, view.direct.get(disk.target, True)
        if now == "unsafe" and (view.case.untrusted or not view.suits(Profile.BUILD)):
            why = (
                "the guest's flushes are dropped: a power cut or a crash of the host loses what it believes to be safe"
            )
            yield _wish(view, disk, why, _TABLE, cache=_DEFAULT)
        elif now in DIRECT and not direct:
            why = f"{disk.source}: this file system has no O_DIRECT (tmpfs), so the machine does not start"
            yield _wish(view, disk, why, _AIO, cache=_DEFAULT, io="threads")
        elif view.suits(*_QUICK) and direct and now != "none":
            policy = POLICIES["database"]
            why = f"{_slow(now)}; {policy.why}"
            yield _wish(view, disk, why, _TABLE, cache=policy.cache, io=policy.io)
        elif view.guest.profile and now in _FLUSHED:
            why = (
                f"{_slow(now)}; a guest that needs its data to be safe flushes by itself, and writeback passes that on"
            )
            yield _wish(view, disk, why, _TABLE, cache=_DEFAULT, io="threads")


def _slow(now: str) -> str:
    if now in _FLUSHED:
        return f"{now} adds a flush to every write of the guest"
    return f"{now} keeps the same data in the host's page cache once more"


def requests(view: View) -> Iterator[Wish]:
    """Who sends the requests, where the cache mode itself may stay."""
    for disk in _disks(view):
        now, direct = disk.cache or _DEFAULT, view.direct.get(disk.target, True)
        becomes_direct = view.suits(*_QUICK) and direct  # as cache() asks
        if disk.io == "native" and now not in DIRECT and not becomes_direct:
            why = f"io native needs O_DIRECT, which cache {now} has not: the machine does not start"
            yield _wish(view, disk, why, _AIO, io="threads")
        elif disk.io == "io_uring" and (why := _no_uring(view, disk)):
            yield _wish(view, disk, why, _URING, io="native" if now in DIRECT else "threads")
        elif view.suits(*_QUICK) and direct and now == "none" and (disk.io or "threads") == "threads":
            why = "requests go to the kernel in batches, without a thread that waits for each"
            wish = _wish(view, disk, why, _BATCH, io="native")
            yield wish._replace(cost="on a file with holes a write that fills one waits: preallocate it")


def _no_uring(view: View, disk: Disk) -> str:
    disabled = view.case.now("kernel.io_uring_disabled")
    if disabled not in {None, "0"}:
        return (
            f"kernel.io_uring_disabled is {disabled} on this host: QEMU may not use it, and the machine does not start"
        )
    if view.qemu == _HUNG and disk.node.find("driver[@iothread]") is not None:
        return "QEMU 7.1 stops for ever with io_uring in an I/O thread; 7.2 does not"
    return ""


def thread(view: View) -> Iterator[Wish]:
    """A disk of its own thread: else QEMU's main loop, which does everything else as well, serves it."""
    taken = {driver.get("iothread") for driver in view.domain.node.findall("devices/disk/driver")}
    free = (number for number in range(1, 100) if str(number) not in taken)
    for disk in _disks(view) if view.suits(*_QUICK) else ():
        driver = disk.node.find("driver")
        busy = driver is not None and (driver.get("iothread") or driver.find("iothreads") is not None)
        if disk.bus != "virtio" or busy or _broken(disk):
            continue
        number = next(free)
        yield Wish(
            f"disk {disk.target}",
            "main loop",
            f"I/O thread {number}",
            "QEMU's main loop serves this disk beside the monitor, timers and other devices, under one lock",
            (_THREAD,),
            partial(set_disk, target=disk.target, wanted=DiskSettings(iothread=number)),
            f"virtkit vm set {view.guest.name} disk {disk.target} --iothread {number}",
            cost="a thread, and CPU time of the host",
        )


def _broken(disk: Disk) -> bool:
    """A definition that QEMU refuses is mended before anything is added to it."""
    return disk.io == "native" and (disk.cache or _DEFAULT) not in DIRECT


RULES: tuple[Rule, ...] = (cache, requests, thread)
