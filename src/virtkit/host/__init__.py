"""The host: what it is, what it has, how it is set. Verbs return data or a Plan."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from virtkit.core.journal import Journal
    from virtkit.core.plan import Plan
    from virtkit.core.system import System
    from virtkit.host.accelerator import Kvm
    from virtkit.host.advice.advising import Advice
    from virtkit.host.advice.case import Guest, Profile
    from virtkit.host.drift import Verdict
    from virtkit.host.listing import Row
    from virtkit.host.merging import Merging
    from virtkit.host.picture import HostFacts


def facts(system: System) -> HostFacts:
    """One picture of the whole host. UsageError if VIRTKIT_ACCEL is neither kvm nor tcg."""
    from virtkit.host.accelerator import OVERRIDE
    from virtkit.host.picture import read_facts

    return read_facts(system, os.environ.get(OVERRIDE, ""))


def save_record(system: System, file: str) -> int:
    """Write what ``facts`` and ``list_knobs`` read into ``file``, to be read again elsewhere (host/record).

    Returns its size in bytes; SystemCallError.
    """
    from virtkit.host.record import Witness, save

    witness = Witness(system.root)
    facts(witness)
    list_knobs(witness)
    return save(witness, file)


def kvm(system: System) -> Kvm:
    """Only whether machines can run under KVM, and under what they will. UsageError as ``facts``."""
    from virtkit.host.accelerator import OVERRIDE, read_kvm
    from virtkit.host.cpu import read_cpu, read_guest
    from virtkit.host.kernel import Kernel

    kernel = Kernel(system)
    cpu = read_cpu(kernel)
    return read_kvm(kernel, cpu, read_guest(kernel, cpu), os.environ.get(OVERRIDE, ""))


def list_knobs(system: System, family: str = "") -> list[Row]:
    """Every knob that this host has, at each of its places; of one family, or one knob. NotFoundError."""
    from virtkit.host.listing import rows

    return rows(system, family)


def set_knobs(system: System, wanted: Mapping[str, str], *, run_time: bool = True, persistent: bool = True) -> Plan:
    """``{"vm.swappiness": "10", "block.scheduler@vda": "none"}``, now and over restarts, as ``host/tuning`` has it."""
    from virtkit.host import tuning

    return tuning.set_knobs(system, wanted, run_time=run_time, persistent=persistent)


def verify(system: System, journal: Journal) -> list[Verdict]:
    """Every knob that a change in force set: as it is, as the next boot will have it, as it is wanted."""
    from virtkit.host import drift

    return drift.verify(system, journal)


def advise(
    system: System,
    guests: Iterable[Guest] = (),
    profiles: Iterable[Profile] = (),
    *,
    untrusted: bool = False,
    picture: HostFacts | None = None,
) -> Advice:
    """What to set otherwise for these machines, and why; changes nothing.

    ``profiles``: what the host is for besides its ``guests``; with neither, only what suits every profile is advised.
    ``picture``: what ``facts`` read, if that has been done.
    """
    from virtkit.host.advice import advising

    case = advising.look(system, picture or facts(system))
    return advising.advise(case.asked(guests, profiles, untrusted=untrusted))


def tune(system: System, advice: Advice) -> Plan:
    """Do what ``advice`` holds that needs nobody and no reboot; what it leaves stands in the plan's notes."""
    from virtkit.host.advice import tuning

    return tuning.plan(system, advice)


def ksm(system: System, *, on: bool, persistent: bool = True) -> Plan:
    """Merge like pages of machines, or take all apart, as ``host/merging`` has it. NotFoundError, NotSupportedError."""
    from virtkit.host import merging

    return merging.turn_on(system, persistent=persistent) if on else merging.turn_off(system, persistent=persistent)


def ksm_status(system: System, journal: Journal) -> Merging:
    """What KSM saves, machine by machine; the journal knows what they took before it was turned on."""
    from virtkit.host import merging

    return merging.status(system, journal)


def set_virtual_functions(system: System, device: str, count: int, *, persistent: bool = False) -> Plan:
    """How many virtual functions a network card or PCI device has; ``persistent``: after restarts as well.

    UsageError, NotFoundError, NotSupportedError; BusyError where one that would go is in use.
    """
    from virtkit.host import functions

    return functions.plan(system, device, count, persistent=persistent)


def bind_driver(system: System, device: str, driver: str) -> Plan:
    """Which driver has a PCI device; empty: whichever the kernel chooses. BusyError where the host would lose it."""
    from virtkit.host import functions

    return functions.bind(system, device, driver)


def set_hugepages(
    system: System, size: int, count: int, node: int | None = None, *, run_time: bool = True, persistent: bool = True
) -> Plan:
    """So many pages of ``size`` bytes in that node's pool, as ``host/pools`` has it. UsageError, NotSupportedError."""
    from virtkit.host import pools

    return pools.set_aside(system, size, count, node, run_time=run_time, persistent=persistent)


def free_hugepages(system: System, node: int | None = None) -> Plan:
    """Give back what nobody uses or was promised, of one node or of all."""
    from virtkit.host import pools

    return pools.give_back(system, node)
