"""KSM as a service: who gains by it, what it costs, how it is turned on and off.

Documentation/admin-guide/mm/ksm.rst. ksmtuned is not needed for it: kernels since 6.8 have an advisor of their own, and
ksmtuned 4 counts the memory of ``pgrep -f '^qemu-system.*-enable-kvm'``, which no machine of libvirt's is
(``/usr/bin/qemu-system-x86_64 ... -accel kvm``): it believes that there are none and stops KSM.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.change import Status
from virtkit.core.errors import NotFoundError
from virtkit.core.plan import Plan
from virtkit.core.units import format_size
from virtkit.host.actions import RunKsm
from virtkit.host.keeping import Keeping
from virtkit.host.kernel import Kernel
from virtkit.host.memory import read_ksm, read_memory
from virtkit.host.merged import KSM, PAGE, Taken, merged_pages
from virtkit.host.programs import find_tuners, read_programs
from virtkit.host.registry import setting
from virtkit.host.tuning import set_knobs
from virtkit.host.vms import read_vms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from virtkit.core.journal import Journal
    from virtkit.core.plan import Json
    from virtkit.core.system import System
    from virtkit.host.memory import Ksm
    from virtkit.host.vms import Vm

_SCAN_SECONDS, _SLEEP_MILLISECONDS = 200, 20  # the advisor's own goal, and ksmd's pause: for kernels without advisor
_FEWEST, _MOST = 500, 30_000  # pages in one go: the advisor's own bounds


_OFF = "turn KSM off"


class Gain(NamedTuple):
    """One machine and KSM."""

    name: str
    pid: int
    now: Taken
    before: Taken | None  # when virtkit turned KSM on; None: it did not, or the machine started since
    merged: int | None  # bytes that it shares with others or with itself
    saved: int | None  # bytes, less KSM's own records


class Merging(NamedTuple):
    ksm: Ksm | None
    gains: tuple[Gain, ...]
    tuner: str  # a program that sets KSM, too; empty: none

    def data(self) -> dict[str, Json]:
        from virtkit.host.picture import data

        return data(self)


def status(system: System, journal: Journal) -> Merging:
    kernel = Kernel(system)
    programs = read_programs(kernel)
    before = dict(_before(journal))
    gains = tuple(_gain(vm, before.get(vm.pid)) for vm in read_vms(kernel, programs))
    tuner = next((tuner.name for tuner in find_tuners(kernel, programs) if tuner.writes(f"{KSM}/run")), "")
    return Merging(read_ksm(kernel), gains, tuner)


def _gain(vm: Vm, before: Taken | None) -> Gain:
    merged = vm.memory.merged_pages
    shared = None if merged is None else merged * PAGE
    return Gain(vm.name or "-", vm.pid, Taken.of(vm), before, shared, vm.memory.merge_profit)


def _before(journal: Journal) -> Iterator[tuple[int, Taken]]:
    """What the machines took when KSM was last turned on in this boot, as the journal has it."""
    for change in reversed(journal.changes()):
        for step in change.steps if not change.other_boot else ():
            if step.kind == RunKsm.kind and step.status is Status.DONE and step.fields["value"] == "1":
                yield from _recorded(step.before)
                return


def _recorded(state: Json) -> Iterator[tuple[int, Taken]]:
    machines = state.get("machines") if isinstance(state, dict) else None
    for pid, values in machines.items() if isinstance(machines, dict) else ():
        memory, huge = values if isinstance(values, list) else (None, None)
        yield int(pid), Taken(memory, huge)


def turn_on(system: System, *, persistent: bool = True) -> Plan:
    """NotFoundError where this kernel has no KSM."""
    kernel = Kernel(system)
    ksm = _ksm(kernel)
    plan = set_knobs(system, wishes(kernel, ksm), persistent=persistent)
    programs = read_programs(kernel)
    notes = [*_costs(read_vms(kernel, programs)), *_limits(kernel, ksm), *_rivals(programs)]
    return replace(plan, title="turn KSM on", notes=(*notes, *plan.notes) if plan else ())


def turn_off(system: System, *, persistent: bool = True) -> Plan:
    """Everything is taken apart. NotSupportedError where the host has no room for that, NotFoundError as above."""
    kernel = Kernel(system)
    run, need = _ksm(kernel).run, merged_pages(kernel) * PAGE
    kept = Keeping(kernel).winner(setting("ksm.run"))
    at_boot = kept is not None and kept.value == "1"
    if run != 1 and not need and not at_boot:
        return Plan(_OFF)
    plan = set_knobs(system, {"ksm.run": "2"}, persistent=persistent and at_boot)
    note = f"{format_size(need)} are merged now and need room of their own again: the host has it"
    return replace(plan, title=_OFF, notes=(note, *plan.notes) if need else plan.notes)


def _ksm(kernel: Kernel) -> Ksm:
    if (found := read_ksm(kernel)) is None:
        raise NotFoundError(f"KSM: this kernel has none, expected {KSM}", hint="CONFIG_KSM=y in the kernel's .config")
    return found


def wishes(kernel: Kernel, ksm: Ksm) -> dict[str, str]:
    """The advisor where there is one, else a pace of our own; on several nodes copies in each."""
    found: dict[str, str] = {}
    if ksm.advisor:
        found["ksm.advisor_mode"] = "scan-time"
    elif total := read_memory(kernel).total:
        found["ksm.pages_to_scan"] = str(pages_to_scan(total))
        found["ksm.sleep_millisecs"] = str(_SLEEP_MILLISECONDS)
    if _across(kernel, ksm) and not merged_pages(kernel):
        found["ksm.merge_across_nodes"] = "0"
    return found | {"ksm.run": "1"}


def pages_to_scan(total: int) -> int:
    """In one go, so that ``total`` bytes are seen in as long as the advisor would take."""
    goes = _SCAN_SECONDS * 1000 // _SLEEP_MILLISECONDS
    return min(max(total // PAGE // goes, _FEWEST), _MOST)


def _across(kernel: Kernel, ksm: Ksm) -> bool:
    """Whether machines of one node would read merged pages of another."""
    nodes = [name for name in kernel.names("/sys/devices/system/node") if name.removeprefix("node").isdecimal()]
    return len(nodes) > 1 and ksm.merge_across_nodes is True


def _costs(vms: Iterable[Vm]) -> Iterator[str]:
    """What is at stake: measured here, now."""
    held = [(vm.name or f"process {vm.pid}", vm.memory.huge) for vm in vms if vm.memory.huge]
    if held:
        total = format_size(sum(huge for _, huge in held))
        each = ", ".join(f"{name} {format_size(huge)}" for name, huge in held)
        yield (
            f"machines hold {total} in transparent huge pages ({each}): KSM splits those in which it merges, and they"
            " do not come back while it runs; what they are worth on this host: virtkit host bench memory"
        )
    yield (
        "a guest can tell by the time of a write whether another holds the same page: not for tenants that do not"
        " trust each other; machines with <nosharepages/> in their XML, or on hugetlb pages, are left out"
    )


def _rivals(programs: Mapping[int, str]) -> Iterator[str]:
    if "ksmtuned" in programs.values():
        yield (
            "ksmtuned looks for machines by ^qemu-system.*-enable-kvm, and libvirt starts none so: it finds none and"
            " stops KSM: systemctl disable --now ksmtuned"
        )


def _limits(kernel: Kernel, ksm: Ksm) -> Iterator[str]:
    if not ksm.advisor:
        yield "this kernel has no advisor for KSM (6.8 has): the pace is fixed, all memory within 200 s"
    if _across(kernel, ksm) and merged_pages(kernel):
        yield (
            "pages are merged across NUMA nodes, and the kernel changes that only while none is: virtkit host ksm"
            " off, then on, gives each node copies of its own"
        )
