"""What machines do at this moment: counters, rates, and the same for Prometheus; nothing is changed."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError, VirtkitError
from virtkit.core.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.vm.connection import Connection
    from virtkit.vm.counters import Counters, Round
    from virtkit.vm.cpus import Cpus
    from virtkit.vm.domain import Domain
    from virtkit.vm.exposition import Pool
    from virtkit.vm.footprint import Footprint
    from virtkit.vm.loads import Load


class Busy(NamedTuple):
    """One machine in one round."""

    counters: Counters
    load: Load | None  # None: it is off, or there is no earlier look at it
    footprint: Footprint | None  # None: it is off, or another host's


class Watch:
    """Looks at machines again and again; use ``watch``. A QEMU that hangs delays one look, by five seconds."""

    def __init__(self, libvirt: Connection, system: System, names: Sequence[str], *, pss: bool) -> None:
        from virtkit.vm.footprint import node_cpus
        from virtkit.vm.patience import Patient

        self._libvirt, self._system, self._pss = libvirt, system, pss
        self._only = [libvirt.machine(name).name for name in names]
        self._stats = Patient(libvirt.uri)
        self.host_cpus = int(libvirt.host.ask(list, "getInfo")[2])
        self._nodes: dict[int, Cpus] = node_cpus(system) if libvirt.local else {}
        self._last: Round | None = None

    def look(self) -> list[Busy]:
        """All machines, or those named, by name; loads are since the last look."""
        from virtkit.vm import counters
        from virtkit.vm.loads import loads

        now = self._stats.ask(lambda libvirt: counters.look(libvirt, self._only))
        found = loads(self._last, now, self.host_cpus) if self._last else {}
        self._last = now
        return [Busy(machine, found.get(machine.uuid), self._footprint(machine)) for machine in now.machines]

    def close(self) -> None:
        self._stats.close()

    def _footprint(self, machine: Counters) -> Footprint | None:
        from virtkit.vm.footprint import footprint

        if not (machine.active and self._libvirt.local):
            return None
        return footprint(self._system, machine.name, self._nodes, pss=self._pss)


@contextmanager
def watch(names: Sequence[str] = (), *, pss: bool = False, system: System | None = None) -> Iterator[Watch]:
    """``names``: only these; NotFoundError if one is not there. ``pss``: see ``footprint``."""
    from virtkit.vm import connection

    with connection.open() as libvirt:
        watched = Watch(libvirt, system or System(), names, pss=pss)
        try:
            yield watched
        finally:
            watched.close()


def load(names: Sequence[str] = (), *, seconds: float = 1, pss: bool = False) -> tuple[Busy, ...]:
    """What machines do, watched for so long."""
    with watch(names, pss=pss) as watched:
        watched.look()
        time.sleep(seconds)
        return tuple(watched.look())


def metrics(system: System | None = None) -> str:
    """Prometheus' text for all machines and active storage pools."""
    from virtkit.vm import connection
    from virtkit.vm.exposition import Seen, exposition

    with connection.open() as libvirt, watch(system=system) as watched:
        machines = [
            Seen(busy.counters, _described(libvirt, busy.counters.name), busy.footprint) for busy in watched.look()
        ]
        return exposition(machines, _pools(libvirt), _versions(libvirt))


def _described(libvirt: Connection, name: str) -> Domain | None:
    try:
        return libvirt.named(name).now()
    except NotFoundError:
        return None


def _pools(libvirt: Connection) -> list[Pool]:
    """The active ones, as libvirt saw them when it last looked: a refresh would read every image's header."""
    from virtkit.vm import library
    from virtkit.vm.exposition import Pool

    found = []
    for raw in libvirt.host.ask(list, "listAllStoragePools", library.POOLS_ACTIVE):
        pool = library.Handle(raw, libvirt.uri)
        try:
            _, capacity, allocation, available = pool.ask(list, "info")
            found.append(Pool(pool.ask(str, "name"), capacity, allocation, available))
        except VirtkitError:  # it has been stopped since
            continue
    return found


def _versions(libvirt: Connection) -> dict[str, str]:
    from virtkit.vm import library

    numbers = {
        "hypervisor_running": libvirt.host.ask(int, "getVersion"),
        "libvirtd_running": libvirt.host.ask(int, "getLibVersion"),
        "libvirt_library": library.libvirt().ask(int, "getVersion"),
    }
    return {label: f"{n // 1000000}.{n // 1000 % 1000}.{n % 1000}" for label, n in numbers.items()}
