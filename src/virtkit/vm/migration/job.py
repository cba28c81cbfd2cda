"""The job that libvirt has for a machine on its way: how far it is, and how it is called off."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import VirtkitError
from virtkit.core.progress import Advanced, Finished, Note, Started
from virtkit.core.units import format_size

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.vm.machine import Machine

Seen = dict[str, int]  # the numbers of virDomainGetJobStats

TELL = 1.0  # seconds between two lines about it
PAUSE = 0.2  # seconds between two looks
_OUT = 5  # VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
_COMPLETED = 1 | 2  # VIR_DOMAIN_JOB_STATS_COMPLETED, _KEEP_COMPLETED: whoever asks next learns it, too


class Arrived(NamedTuple):
    """Milliseconds and bytes; None is what libvirt does not tell: of a machine that was off, and after post-copy."""

    total: int | None = None
    downtime: int | None = None
    memory: int | None = None  # sent; more than it has, where the guest wrote some of it again


def arrived(machine: Machine) -> Arrived:
    """How the journey of a machine that came was, as libvirt there remembers it."""
    seen = machine.ask(dict, "jobStats", _COMPLETED)
    if not seen.get("time_elapsed"):
        return Arrived()
    return Arrived(*(int(seen.get(key, 0)) for key in ("time_elapsed", "downtime", "memory_processed")))


def look(machine: Machine) -> Seen:
    """Nothing once it is gone, or while it has no journey before it."""
    try:
        seen = machine.ask(dict, "jobStats", 0)
    except VirtkitError:
        return {}
    numbers = {key: int(value) for key, value in seen.items() if isinstance(value, int)}
    return numbers if numbers.get("operation") == _OUT else {}


def call_off(machine: Machine) -> None:
    with suppress(VirtkitError):  # there is no job any more, or not yet
        machine.tell("abortJob")


def cut(machine: Machine) -> None:
    """The other host is dead: QEMU would wait for its answer until TCP gives up, a quarter of an hour."""
    with suppress(VirtkitError):
        held = machine.monitor({"execute": "query-yank"})
        ours = [each for each in (held if isinstance(held, list) else []) if _of_migration(each)]
        if ours:
            machine.monitor({"execute": "yank", "arguments": {"instances": ours}})


def settle(machine: Machine, seconds: float = 20) -> None:
    """Until no journey is left of a process that died on it: libvirt goes on for a while with what nobody awaits."""
    end = time.monotonic() + seconds
    while look(machine) and time.monotonic() < end:
        call_off(machine)
        if time.monotonic() > end - seconds / 2:
            cut(machine)
        time.sleep(PAUSE)


class Teller:
    """Tells a sink how far the job is: bytes of disks and memory, and a line at each round."""

    def __init__(self, step: str, memory: int, report: Sink) -> None:
        self._step, self._memory, self._report = step, memory, report
        self._total = 0
        self._round, self._told = -1, 0.0

    def tell(self, seen: Seen) -> None:
        """Disks come first; memory, which is written again meanwhile, in rounds after them."""
        left = seen.get("disk_remaining", 0) + self._memory_left(seen)
        if not self._total:
            self._total = seen.get("disk_total", 0) + self._memory
            self._report(Started(self._step, self._total))
        self._report(Advanced(self._step, max(self._total - left, 0)))
        now, turn = time.monotonic(), seen.get("memory_iteration", 0)
        if turn != self._round and now - self._told > TELL and seen.get("data_remaining"):
            self._round, self._told = turn, now
            self._report(Note(self._step, text(seen)))

    def end(self) -> None:
        if self._total:
            self._report(Finished(self._step))

    def _memory_left(self, seen: Seen) -> int:
        return seen.get("memory_remaining", 0) if seen.get("memory_total") else self._memory


def text(seen: Seen) -> str:
    """``round 2: 12 MiB left, 812 MiB/s; the guest writes 4 MiB/s; it would stand still for 300 ms``."""
    turn = f"round {seen.get('memory_iteration', 0)}" if seen.get("memory_total") else "disks"
    parts = [f"{turn}: {format_size(seen.get('data_remaining', 0))} left"]
    if speed := seen.get("memory_bps", 0) + seen.get("disk_bps", 0):
        parts[0] += f", {format_size(speed)}/s"
    if seen.get("memory_dirty_rate"):
        parts.append(
            f"the guest writes {format_size(seen['memory_dirty_rate'] * seen.get('memory_page_size', 4096))}/s"
        )
    if seen.get("auto_converge_throttle"):
        parts.append(f"its CPUs are slowed by {seen['auto_converge_throttle']} %")
    if seen.get("downtime"):
        parts.append(f"it would stand still for {seen['downtime']} ms")
    return "; ".join(parts)


def _of_migration(connection: Json) -> bool:
    """A connection of QEMU's that libvirt made for the journey; the guest may have network disks of its own."""
    if not isinstance(connection, dict):
        return False
    return connection.get("type") == "migration" or str(connection.get("node-name", "")).startswith("migration-")
