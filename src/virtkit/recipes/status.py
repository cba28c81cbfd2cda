"""Wanted, live and persistent side by side: what a declarative file says and what this host shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit import net
from virtkit.core.errors import VirtkitError
from virtkit.core.units import format_size
from virtkit.host.advice.finding import Need
from virtkit.recipes.advice import declared
from virtkit.recipes.wanted import work_out
from virtkit.vm import connection, library, pinning
from virtkit.vm.cpus import format_cpus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.recipes.spec import Document
    from virtkit.recipes.wanted import Wanted
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine

NOTHING = "-"  # not applicable: an absent machine has no memory, a kernel's bridge no file


class Row(NamedTuple):
    what: str
    wanted: str
    live: str
    persistent: str

    @property
    def same(self) -> bool:
        shown = {self.live, self.persistent} - {NOTHING}
        return shown == {self.wanted}


def compare(document: Document, system: System) -> list[Row]:
    """One row per value that the file decides, in the file's order."""
    rows = list(_host(document, system))
    rows += [_network(name, network.bridge.port) for name, network in document.spec.networks.items()]
    with connection.open() as libvirt:
        for name in document.spec.machines:
            wanted = work_out(document, name, system)
            rows.extend(_machine(name, wanted, libvirt.find(name)))
    return rows


def _host(document: Document, system: System) -> Iterator[Row]:
    """What ``up`` would set; where that is nothing, that it is so."""
    advice = declared.advice(document.spec, system)
    if advice is None:
        return
    open_ = advice.needing(Need.NOTHING)
    for each in open_:
        yield Row(f"host {each.name}", each.want, each.row.now, each.row.kept.value if each.row.kept else NOTHING)
    if not open_:
        tuned = f"tuned for {', '.join(advice.case.profiles)}"
        yield Row("host", tuned, tuned, NOTHING)


def _network(name: str, port: str | None) -> Row:
    wanted = f"bridge over {port}" if port else "bridge"
    try:
        missing = net.plan_bridge(name, port)
    except VirtkitError as error:
        return Row(name, wanted, error.message, NOTHING)
    return Row(name, wanted, "; ".join(missing.lines()) or wanted, NOTHING)


def _machine(name: str, wanted: Wanted, machine: Machine | None) -> Iterator[Row]:
    yield Row(f"{name} disk", str(wanted.disk), str(wanted.disk) if wanted.disk.exists() else "absent", NOTHING)
    if machine is None:
        yield Row(name, "running", "absent", "absent")
        return
    later, now = machine.next_start(), machine.now() if machine.active else None
    yield Row(name, "running", machine.state, NOTHING)
    autostart = {True: "yes", False: "no"}
    yield Row(f"{name} autostart", autostart[wanted.machine.autostart], NOTHING, autostart[machine.starts_with_host])
    for what, value in _values(wanted.domain).items():
        live = _values(now).get(what, "absent") if now is not None else NOTHING
        yield Row(f"{name} {what}", value, live, _values(later).get(what, "absent"))
    yield from _pins(name, wanted, machine)


def _values(domain: Domain) -> dict[str, str]:
    found = {
        "runs under": "KVM" if domain.type == "kvm" else "TCG",
        "vCPUs": str(domain.vcpus),
        "memory": format_size(domain.memory),
    }
    found |= {
        f"cache of {disk.source}": f"{disk.cache or 'default'}, io {disk.io or 'default'}" for disk in domain.disks
    }
    return found | {f"network card {nic.mac.lower()}": f"{nic.type} {nic.source}" for nic in domain.nics}


def _pins(name: str, wanted: Wanted, machine: Machine) -> Iterator[Row]:
    if wanted.pins is None:
        return
    later = pinning.present(machine, library.CONFIG)
    live = pinning.present(machine, library.LIVE) if machine.active else None
    for vcpu, cpus in sorted(wanted.pins.vcpus.items()):
        shown = NOTHING if live is None else _on(live.vcpus.get(vcpu, ()))
        yield Row(f"{name} vCPU {vcpu}", _on(cpus), shown, _on(later.vcpus.get(vcpu, ())))


def _on(cpus: tuple[int, ...]) -> str:
    return f"CPU {format_cpus(cpus)}"
