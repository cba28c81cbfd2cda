"""The journey: libvirt carries the machine over in one call, and we watch it from beside."""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

from virtkit.core.errors import MachineError, NotSupportedError, VirtkitError
from virtkit.core.progress import Note
from virtkit.core.units import MIB, divide_up
from virtkit.vm import library
from virtkit.vm.migration import job
from virtkit.vm.migration.job import Arrived

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine
    from virtkit.vm.migration.way import Way

# virDomainMigrateFlags of libvirt-domain.h
LIVE, PERSIST_DEST, UNDEFINE_SOURCE, NON_SHARED_DISK, UNSAFE, OFFLINE = 1, 8, 16, 64, 512, 1024
ABORT_ON_ERROR, AUTO_CONVERGE, POSTCOPY = 4096, 8192, 32768

PULSE, MISSED = 3, 3  # seconds between two signs of life, and how many may fail to come
_ONE_ROUND = 2  # memory_iteration of the second round
_UNSAFE = 81  # VIR_ERR_MIGRATE_UNSAFE
_PORTS = "tcp 49152-49215"  # qemu.conf, migration_port_min and _max


class Journey:
    def __init__(self, machine: Machine, there: Connection, way: Way, report: Sink) -> None:
        self._machine, self._there, self._way, self._report = machine, there, way, report
        self._step = f"copy {machine.name} to {there.hostname}"
        self._teller = job.Teller(self._step, machine.now().memory, report)
        self._over = Event()
        self._failure: BaseException | None = None
        self._lost = self._switched = False

    def run(self) -> Arrived:
        """MachineError if it does not arrive: then it runs on here. Whatever breaks it off, cancels it first."""
        self._there.host.ask(int, "setKeepAlive", PULSE, MISSED)
        downtime = self._set_downtime()
        try:
            self._travel()
        except BaseException:
            self._restore_downtime(downtime)
            raise
        self._teller.end()
        return Arrived() if self._way.offline else job.arrived(self._there.named(self._machine.name))

    def _travel(self) -> None:
        broken: BaseException | None = None
        Thread(target=self._carry, daemon=True).start()
        while not self._over.is_set():  # an interrupted join() takes a thread for ended that is not (CPython 3.11)
            try:
                self._over.wait(job.PAUSE)
                self._look(broken)
            except BaseException as error:  # noqa: BLE001  Ctrl-C, or who listens: the copy is called off before it goes on
                broken = broken or error
        if broken is not None:
            raise broken
        if self._failure is not None:
            raise self._explained(self._failure) from self._failure

    def _carry(self) -> None:
        try:
            self._machine.tell("migrate3", self._there.host.raw, self._parameters(), self._flags())
        except BaseException as error:  # noqa: BLE001  it is raised by who waits for this thread
            self._failure = error
        finally:
            self._over.set()

    def _look(self, broken: BaseException | None) -> None:
        if not self._there.host.ask(int, "isAlive"):
            self._lost = True
            job.call_off(self._machine)
            job.cut(self._machine)
        elif broken is not None:
            job.call_off(self._machine)
        elif seen := job.look(self._machine):
            self._teller.tell(seen)
            if self._way.postcopy and seen.get("memory_iteration", 0) >= _ONE_ROUND and not self._switched:
                self._switched = True
                self._machine.tell("migrateStartPostCopy", 0)
                self._report(Note(self._step, "switched; what is missing is fetched as the guest asks for it"))

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
        """What it was; 0: it stays."""
        if not self._way.downtime or self._way.offline:
            return 0
        before = self._machine.ask(int, "migrateGetMaxDowntime", 0)
        self._machine.tell("migrateSetMaxDowntime", self._way.downtime, 0)
        return before

    def _restore_downtime(self, before: int) -> None:
        if before:
            with suppress(VirtkitError):
                self._machine.tell("migrateSetMaxDowntime", before, 0)

    def _explained(self, failure: BaseException) -> BaseException:
        name, where = self._machine.name, self._there.uri
        if self._lost or not self._there.host.ask(int, "isAlive"):
            return MachineError(f"{name}: {where} does not answer any more", hint=f"virsh --connect {where} version")
        said = str(failure)
        if "Postcopy is not supported" in said:
            hint = "sysctl vm.unprivileged_userfaultfd=1 on both hosts, or without --postcopy"
            return NotSupportedError(said, hint=hint)
        if library.error_number(failure.__cause__) == _UNSAFE:
            return MachineError(
                said, hint="--copy-storage-all; or --unsafe, if both hosts share the storage all the same"
            )
        if "unable to connect to server" in said.lower():
            return MachineError(said, hint=f"open {_PORTS} in the firewall of that host, or name another --address")
        return failure
