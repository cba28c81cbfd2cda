"""The journey: libvirt carries the machine over in one call, and we watch it from beside."""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError, NotSupportedError, VirtkitError
from virtkit.core.progress import Advanced, Finished, Note, Started
from virtkit.core.units import MIB, divide_up, format_size

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine
    from virtkit.vm.migration.way import Way

# virDomainMigrateFlags of libvirt-domain.h
LIVE, PERSIST_DEST, UNDEFINE_SOURCE, NON_SHARED_DISK, UNSAFE, OFFLINE = 1, 8, 16, 64, 512, 1024
ABORT_ON_ERROR, AUTO_CONVERGE, POSTCOPY = 4096, 8192, 32768

LOOK = 0.2  # seconds between two looks at the job
TELL = 1.0  # seconds between two lines about it
PULSE, MISSED = 3, 3  # seconds between two signs of life, and how many may fail to come
_COMPLETED = 1 | 2  # VIR_DOMAIN_JOB_STATS_COMPLETED, _KEEP_COMPLETED: whoever asks next learns it, too
_ONE_ROUND = 2  # memory_iteration of the second round
_PORTS = "tcp 49152-49215"  # qemu.conf, migration_port_min and _max


class Arrived(NamedTuple):
    """Milliseconds and bytes; zeros of a machine that was off."""

    total: int = 0
    downtime: int = 0
    memory: int = 0  # sent; more than it has, where the guest wrote some of it again


class Journey:
    def __init__(self, machine: Machine, there: Connection, way: Way, report: Sink) -> None:
        self._machine, self._there, self._way, self._report = machine, there, way, report
        self._step = f"copy {machine.name} to {there.hostname}"
        self._failure: BaseException | None = None
        self._lost = self._switched = False
        self._started = False
        self._round, self._told = -1, 0.0

    def run(self) -> Arrived:
        """MachineError if it does not arrive: then it runs on here. Whatever breaks it off, cancels it first."""
        self._there.host.ask(int, "setKeepAlive", PULSE, MISSED)
        before = self._set_downtime()
        broken: BaseException | None = None
        carrier = Thread(target=self._carry, daemon=True)
        carrier.start()
        while carrier.is_alive():
            try:
                carrier.join(LOOK)
                self._look()
            except BaseException as error:  # noqa: BLE001  Ctrl-C, or who listens: the copy is called off before it goes on
                broken = broken or error
                self._call_off()
        if broken is not None or self._failure is not None:
            self._restore_downtime(before)
        if broken is not None:
            raise broken
        if self._failure is not None:
            raise self._explained(self._failure) from self._failure
        return self._arrived()

    def _carry(self) -> None:
        try:
            self._machine.tell("migrate3", self._there.host.raw, self._parameters(), self._flags())
        except BaseException as error:  # noqa: BLE001  it is raised by who waits for this thread
            self._failure = error

    def _flags(self) -> int:
        way = self._way
        flags = PERSIST_DEST | UNDEFINE_SOURCE if self._machine.persistent else 0
        if way.offline:
            return flags | OFFLINE
        flags |= LIVE | ABORT_ON_ERROR
        chosen = (
            (bool(way.copied), NON_SHARED_DISK),
            (way.unsafe, UNSAFE),
            (way.auto_converge, AUTO_CONVERGE),
            (way.postcopy, POSTCOPY),
        )
        return flags | sum(flag for wanted, flag in chosen if wanted)

    def _parameters(self) -> dict[str, object]:
        way, parameters = self._way, dict[str, object]()
        if way.address:
            parameters["migrate_uri"] = f"tcp://{way.address}"
        if way.bandwidth:
            parameters["bandwidth"] = divide_up(way.bandwidth, MIB)
        if way.copied:
            parameters["migrate_disks"] = list(way.copied)
        return parameters

    def _set_downtime(self) -> int:
        if not self._way.downtime or self._way.offline:
            return 0
        before = self._machine.ask(int, "migrateGetMaxDowntime", 0)
        self._machine.tell("migrateSetMaxDowntime", self._way.downtime, 0)
        return before

    def _restore_downtime(self, before: int) -> None:
        if before:
            with suppress(VirtkitError):
                self._machine.tell("migrateSetMaxDowntime", before, 0)

    def _look(self) -> None:
        if not self._there.host.ask(int, "isAlive"):
            self._let_go()
        try:
            seen = self._machine.ask(dict, "jobStats", 0)
        except VirtkitError:  # it has just gone
            return
        numbers = {key: int(value) for key, value in seen.items() if isinstance(value, int)}
        if numbers.get("data_total"):
            self._tell(numbers)

    def _tell(self, seen: dict[str, int]) -> None:
        if not self._started:
            self._started = True
            self._report(Started(self._step, seen["data_total"]))
        self._report(Advanced(self._step, seen["data_total"] - seen.get("data_remaining", 0)))
        now, turn = time.monotonic(), seen.get("memory_iteration", 0)
        if turn != self._round and now - self._told > TELL:
            self._round, self._told = turn, now
            self._report(Note(self._step, round_text(seen)))
        if self._way.postcopy and turn >= _ONE_ROUND and not self._switched:
            self._switched = True
            self._machine.tell("migrateStartPostCopy", 0)
            self._report(Note(self._step, "switched; what is missing is fetched as the guest asks for it"))

    def _let_go(self) -> None:
        """The other host is dead: QEMU would wait for its answer until TCP gives up, a quarter of an hour."""
        self._lost = True
        self._call_off()
        with suppress(VirtkitError):
            held = self._machine.monitor({"execute": "query-yank"})
            ours = [each for each in (held if isinstance(held, list) else []) if _of_migration(each)]
            if ours:
                self._machine.monitor({"execute": "yank", "arguments": {"instances": ours}})

    def _call_off(self) -> None:
        with suppress(VirtkitError):  # there is no job any more, or not yet
            self._machine.tell("abortJob")

    def _explained(self, failure: BaseException) -> BaseException:
        name, where = self._machine.name, self._there.uri
        if self._lost:
            return MachineError(f"{name}: {where} does not answer any more", hint=f"virsh --connect {where} version")
        said = str(failure)
        if "Postcopy is not supported" in said:
            hint = "sysctl vm.unprivileged_userfaultfd=1 on both hosts, or without --postcopy"
            return NotSupportedError(said, hint=hint)
        if "unable to connect to server" in said or "Unable to connect to server" in said:
            return MachineError(said, hint=f"open {_PORTS} in the firewall of that host, or name another --address")
        return failure

    def _arrived(self) -> Arrived:
        if self._started:
            self._report(Finished(self._step))
        if self._way.offline:
            return Arrived()
        return arrived(self._there.named(self._machine.name))


def _of_migration(connection: Json) -> bool:
    """A connection of QEMU's that libvirt made for the journey; the guest may have network disks of its own."""
    if not isinstance(connection, dict):
        return False
    return connection.get("type") == "migration" or str(connection.get("node-name", "")).startswith("migration-")


def arrived(machine: Machine) -> Arrived:
    """How the journey of a machine that came was, as libvirt there remembers it."""
    seen = machine.ask(dict, "jobStats", _COMPLETED)
    return Arrived(*(int(seen.get(key, 0)) for key in ("time_elapsed", "downtime", "memory_processed")))


def round_text(seen: dict[str, int]) -> str:
    """``round 2: 12 MiB left, 812 MiB/s; the guest writes 4 MiB/s; it would stand still for 300 ms``."""
    parts = [f"round {seen.get('memory_iteration', 0)}: {format_size(seen.get('data_remaining', 0))} left"]
    if speed := seen.get("memory_bps", 0) + seen.get("disk_bps", 0):
        parts.append(f"{format_size(speed)}/s")
    if seen.get("memory_dirty_rate"):
        parts.append(
            f"the guest writes {format_size(seen['memory_dirty_rate'] * seen.get('memory_page_size', 4096))}/s"
        )
    if seen.get("auto_converge_throttle"):
        parts.append(f"its CPUs are slowed by {seen['auto_converge_throttle']} %")
    if seen.get("downtime"):
        parts.append(f"it would stand still for {seen['downtime']} ms")
    return "; ".join(parts)
