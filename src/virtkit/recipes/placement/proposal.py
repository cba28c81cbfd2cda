"""``host place``: seats for machines as one plan, machine by machine, with its score against what no plan can beat."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from virtkit import vm
from virtkit.core.errors import NotFoundError, NotSupportedError
from virtkit.core.plan import Plan
from virtkit.core.units import format_size
from virtkit.host.commandline import read_command_line
from virtkit.host.kernel import Kernel
from virtkit.host.painting import Tenant
from virtkit.host.pci import read_pci
from virtkit.host.placement import place, replan
from virtkit.host.placement.room import Taken, make_room
from virtkit.host.topology import read_topology
from virtkit.recipes.placement.machines import known_machines
from virtkit.vm import connection, pinning
from virtkit.vm.verbs.pins import check_here

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from virtkit.core.cpuset import CpuSet
    from virtkit.core.system import System
    from virtkit.host.pci import PciDevice
    from virtkit.host.placement import Placement
    from virtkit.host.placement.room import Room
    from virtkit.host.placement.shortage import Shortage
    from virtkit.host.placement.wish import Policy, Seat
    from virtkit.host.topology import Topology
    from virtkit.recipes.placement.machines import Known


class Host(NamedTuple):
    topology: Topology
    devices: tuple[PciDevice, ...]
    usable: CpuSet  # CPUs that machines may have
    housekeeping: CpuSet | None  # None: the first core of each node


class Proposal(NamedTuple):
    host: Host
    room: Room
    placement: Placement
    tenants: tuple[Tenant, ...]  # as all machines would run then
    plan: Plan


def read_host(system: System, housekeeping: CpuSet | None = None) -> Host:
    """CPUs that the kernel was told to isolate are for machines; then the others do the housekeeping."""
    kernel = Kernel(system)
    topology, cpus = read_topology(kernel), pinning.host_cpus(system)
    isolated = read_command_line(kernel).isolated & topology.cpus
    kept = topology.cpus - isolated if housekeeping is None and isolated else housekeeping
    return Host(topology, read_pci(kernel), frozenset(cpus.allowed) | isolated, kept)


def propose(asked: Mapping[str, Policy | None], system: System, housekeeping: CpuSet | None = None) -> Proposal:
    """Seats for the machines that are asked for (None: by the policy that they have); for none: all that run, anew.

    The others keep what they have. NotFoundError; NotSupportedError says what is short for the first that fits nowhere.
    """
    host = read_host(system, housekeeping)
    with connection.open() as libvirt:
        check_here(libvirt)
        known = known_machines(libvirt, host.devices, host.topology.cores, system)
    for name in asked:
        if name not in {each.name for each in known}:
            raise NotFoundError(f"machine {name}: there is none of this name", hint="virtkit vm list")
    chosen = [each for each in known if (each.name in asked if asked else each.active)]
    others = [each for each in known if each not in chosen]
    room = make_room(host.topology, usable=host.usable, housekeeping=host.housekeeping, taken=taken(host, others))
    wishes = [each.wish._replace(policy=asked.get(each.name) or each.wish.policy) for each in chosen]
    present = {each.name: each.seat for each in chosen if each.seat}
    placement = place(room, wishes, present) if asked else replan(room, wishes, present)
    if asked and placement.shortages:
        refuse(placement.shortages[0])
    own = {wish.name for wish in wishes if wish.own_cores}
    said = (*unaware(chosen, placement, host), *beside(others, placement, own, host))
    return Proposal(host, room, placement, _tenants(known, placement), _plan(host, placement, own, system, said))


def taken(host: Host, others: Iterable[Known]) -> Taken:
    """What machines that are not asked have: CPUs of their own even while they are off, memory while they run."""
    own: set[int] = set()
    memory: Counter[int] = Counter()
    pages: Counter[tuple[int, int]] = Counter()
    floating: Counter[int] = Counter()
    for other in others:
        at = other.seat.cpus if other.seat else host.topology.cpus
        if other.wish.own_cores:
            own |= at
        if not other.active:
            continue
        nodes = [node.number for node in host.topology.nodes if node.cpus & at]
        for node in nodes:
            share = other.wish.memory // len(nodes)
            if other.wish.page_size:
                pages[node, other.wish.page_size] += -(-share // other.wish.page_size)
            else:
                memory[node] += share
            if not other.wish.own_cores:
                floating[node] += -(-other.wish.vcpus // len(nodes))
    return Taken(frozenset(own), memory, pages, floating)


def refuse(shortage: Shortage) -> None:
    """NotSupportedError with the nearest wish that fits as its hint."""
    near, ways = shortage.nearest, []
    if near:
        ways.append(f"{near.vcpus} vCPU{'s' if near.vcpus > 1 else ''} and {format_size(near.memory)} would fit")
    if shortage.shared_fits:
        ways.append(f"virtkit host place {shortage.name}=shared")
    raise NotSupportedError(str(shortage), hint="; or: ".join(ways) or "virtkit host topology")


def beside(others: Iterable[Known], placement: Placement, own: set[str], host: Host) -> tuple[str, ...]:
    """Who floats where those of ``own`` are to have cores for themselves."""
    cpus = frozenset[int]().union(*(seat.cpus for name, seat in placement.seats.items() if name in own))
    names = [
        each.name
        for each in others
        if each.active and not each.wish.own_cores and (each.seat.cpus if each.seat else host.topology.cpus) & cpus
    ]
    may = f"{', '.join(names)} may run on these CPUs, too"
    return (f"{may}: virtkit host place, without names, gives all machines their places",) if names else ()


def unaware(known: Iterable[Known], placement: Placement, host: Host) -> tuple[str, ...]:
    """Notes for machines whose guests take two threads of one core for two cores."""
    alone = [
        each.name
        for each in known
        if each.threads == 1 and each.wish.vcpus > 1 and (seat := placement.seats.get(each.name)) and seat.one_to_one
        if len({core for core in host.topology.cores if core & seat.cpus}) < len(seat.cpus)
    ]
    wanted = f"<topology ... threads='{host.topology.threads_per_core}'/> below <cpu>"
    return tuple(
        f"{name}: its guest does not see that its vCPUs share cores: virtkit vm edit {name}, {wanted}" for name in alone
    )


def _plan(host: Host, placement: Placement, own: set[str], system: System, said: tuple[str, ...]) -> Plan:
    pins = {name: pins_of(seat, host, own=name in own) for name, seat in placement.seats.items()}
    plan = vm.pin_all(pins, system)
    notes = (*plan.notes, *map(str, placement.shortages), *(said if plan else ()))
    title = f"place machine{'s' if len(pins) != 1 else ''} {', '.join(pins)}" if pins else "place no machine"
    if plan and any(each.nodes for each in pins.values()):
        notes = (*notes, "memory stays where it is until a machine starts anew")
    return Plan(title, plan.actions, notes)


def pins_of(seat: Seat, host: Host, *, own: bool) -> pinning.Pins:
    """None at all for a machine that floats over the whole host."""
    nodes = [node.number for node in host.topology.nodes if node.cpus]
    if not own and seat.cpus >= host.usable:
        return pinning.Pins({})
    return pinning.Pins(
        {vcpu: tuple(sorted(cpus)) for vcpu, cpus in enumerate(seat.vcpus)},
        tuple(sorted(seat.emulator)),
        {number: tuple(sorted(cpus)) for number, cpus in seat.iothreads.items()},
        tuple(sorted(seat.memory)) if len(nodes) > 1 else (),
        "strict" if own or len(seat.memory) > 1 else "preferred",
    )


def _tenants(known: Sequence[Known], placement: Placement) -> tuple[Tenant, ...]:
    seats = {each.name: placement.seats.get(each.name, each.seat) for each in known if each.active}
    seats |= placement.seats
    return tuple(Tenant(name, seat.vcpus, 0, 0) for name, seat in seats.items() if seat)
