"""``virtkit host show``: what the host is and how it is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.host import source
from virtkit.cli.host.words import ABSENT, count, counts
from virtkit.core.cpuset import format_list
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.host.accelerator import Kvm
    from virtkit.host.disks import Disk
    from virtkit.host.hugepages import HugePages
    from virtkit.host.memory import Ksm, Thp
    from virtkit.host.picture import HostFacts
    from virtkit.host.programs import Tuner
    from virtkit.host.vms import Vm
    from virtkit.recipes.overcommit import Overcommit, Share

_THP = {  # Documentation/admin-guide/mm/transhuge.rst
    "always": "memory of all programs",
    "madvise": "memory of programs that ask, as QEMU does",
    "never": "no memory",
}
_DOUBTS = 5  # lines, unless -v


def build(parser: Arguments) -> None:
    options.output(parser)
    source.add(parser)
    parser.set_defaults(run=show)


def show(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host
    from virtkit.host.drawing import Scene, draw

    with source.host_of(args) as system:
        facts = host.facts(system)
    overcommit, libvirt = _overcommit(facts) if args.recorded is None else (None, "not asked: this is a record")
    if console.json:
        joined = overcommit.data() if overcommit else None
        console.data({**facts.data(), "libvirt": libvirt, "overcommit": joined})
        return 0
    for line in _result(facts.kvm):
        console.line(line)
    machines = list(_machines(overcommit)) if overcommit else [("libvirt", libvirt)]
    _section(console, "host", _host(facts))
    _section(console, "CPU", _cpu(facts))
    for line in draw(Scene(facts.topology)):
        console.line(f"    {line}")
    _section(console, "memory", _memory(facts))
    _section(console, "disks", [(disk.name, _disk(disk)) for disk in facts.disks])
    _section(console, "devices", _devices(facts))
    _section(console, "machines", [*machines, *((vm.name or "(no name)", _vm(vm)) for vm in facts.vms)])
    _doubts(console, facts)
    return 0


def _overcommit(facts: HostFacts) -> tuple[Overcommit | None, str]:
    """The joined picture and ``reachable``, or why there is none."""
    from virtkit.core.errors import VirtkitError
    from virtkit.recipes.overcommit import known_machines, measure

    try:
        return measure(facts, known_machines()), "reachable"
    except VirtkitError as error:
        return None, f"not reachable: {error.message}"


def _section(console: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    rows = list(rows)
    width = max((len(label) for label, _ in rows), default=0)
    console.line(f"\n{title}")
    for label, text in rows:
        console.line(f"  {label:{width}}  {text}")


def _result(kvm: Kvm) -> Iterator[str]:
    verdict = "✓ KVM: can be used" if kvm.usable else f"✗ KVM: cannot be used: {kvm.why}"
    under = "KVM" if kvm.accelerator == "kvm" else "TCG (emulation, several times slower)"
    forced = f" all the same, because of {kvm.forced}" if kvm.forced else ""
    yield f"{verdict}; machines run under {under}{forced}"
    if kvm.advice:
        yield f"  to do: {kvm.advice}"


def _host(facts: HostFacts) -> Iterator[tuple[str, str]]:
    guest = facts.guest
    inside = {True: "yes", False: "no", None: "cannot be told"}[guest.inside]
    groups = facts.cgroups
    yield "kernel", facts.kernel or ABSENT
    yield "itself a guest", inside + (f" ({guest.product})" if guest.product else "")
    controllers = ", ".join(groups.v1_controllers) if groups.version == "hybrid" else ""
    yield "control groups", f"version {groups.version}" + (f"; version 1 has {controllers}" if controllers else "")
    yield "KVM modules", ", ".join(facts.kvm.modules) or "none"
    yield "nested KVM", _switch(facts.kvm.nested)
    line = facts.command_line
    yield (
        "CPUs set apart",
        f"isolated {format_list(line.isolated) or 'none'}, no tick {format_list(line.nohz_full) or 'none'}",
    )
    yield from ((tuner.name, f"runs, and sets {tuner.sets}" + _profile(tuner)) for tuner in facts.tuners)


def _profile(tuner: Tuner) -> str:
    return f": {tuner.profile}" if tuner.profile else ""


def _cpu(facts: HostFacts) -> Iterator[tuple[str, str]]:
    level = facts.kvm.second_level
    yield "model", facts.cpu.model or ABSENT
    yield "CPUs", counts(facts.topology)
    if level:
        in_cpu = "the CPU has it" if level.in_cpu else "the CPU does not show it"
        yield level.name, f"{_switch(level.enabled)}; {in_cpu}"
    else:
        yield "EPT / NPT", ABSENT


def _memory(facts: HostFacts) -> Iterator[tuple[str, str]]:
    memory = facts.memory
    yield "total", _size(memory.total)
    yield "available", _size(memory.available)
    used = (f"{swap.name} {format_size(swap.size)}, {format_size(swap.used)} used" for swap in memory.swaps)
    yield "swap", "; ".join(used) or "none"
    yield "transparent huge pages", _thp(facts.thp, memory.in_transparent_huge_pages)
    yield "KSM (merges like pages)", _ksm(facts.ksm)
    yield from ((f"huge pages {format_size(pool.size)}", _pool(pool)) for pool in facts.hugepages)
    for node in facts.topology.nodes if len(facts.topology.nodes) > 1 else ():
        distances = " ".join(str(distance) for distance in node.distances.values())
        pools = "".join(f"; {format_size(pool.size)} pages: {_pool(pool)}" for pool in node.hugepages if pool.total)
        yield f"node {node.number}", f"{_size(node.memory)}, {_size(node.free)} free; distances {distances}{pools}"


def _thp(thp: Thp | None, used: int | None) -> str:
    if thp is None:
        return ABSENT
    word = thp.enabled.value
    text = f"{word} ({_THP[word]})" if word in _THP else word
    return text + (f", defrag {thp.defrag.value}" if thp.defrag else "") + (f"; {_size(used)} in use" if used else "")


def _ksm(ksm: Ksm | None) -> str:
    if ksm is None:
        return ABSENT
    advisor = f", advisor {ksm.advisor.value}" if ksm.advisor else ""
    return f"{ksm.state}{advisor}; saves {_saved(ksm.saved)}"


def _saved(saved: int | None) -> str:
    """Below zero where the records of what was compared cost more than merging gave."""
    if saved is None:
        return f"({ABSENT})"
    return format_size(saved) if saved >= 0 else f"-{format_size(-saved)}: it costs more than it gives"


def _pool(pool: HugePages) -> str:
    if not pool.total:
        return "none set aside"
    free = "" if pool.free is None else f", {pool.free} free"
    reserved = f", {pool.reserved} reserved" if pool.reserved else ""
    return f"{pool.total} ({format_size(pool.total * pool.size)}){free}{reserved}"


def _disk(disk: Disk) -> str:
    kind = {True: "rotating, by its own account", False: "solid state", None: "kind not available"}[disk.rotating]
    if disk.scheduler is None:
        return f"{_size(disk.size)}, {kind}; no scheduler"
    others = ", ".join(word for word in disk.scheduler.choices if word != disk.scheduler.value)
    return f"{_size(disk.size)}, {kind}; scheduler {disk.scheduler.value}" + (f" (also: {others})" if others else "")


def _devices(facts: HostFacts) -> Iterator[tuple[str, str]]:
    """Those that a machine's disk or card stands on, or that are set aside for machines."""
    for device in facts.pci:
        if device.names or device.driver == "vfio-pci":
            node = "" if device.numa_node is None else f", node {device.numa_node}"
            group = "" if device.iommu_group is None else f", IOMMU group {device.iommu_group}"
            functions = f", {device.sriov.number} of {device.sriov.total} virtual functions" if device.sriov else ""
            yield device.address, (" ".join(device.names) or "-") + f": {device.driver}{node}{group}{functions}"


def _vm(vm: Vm) -> str:
    """As the kernel has it, whatever libvirt believes."""
    vcpus = [thread for thread in vm.threads if thread.is_vcpu]
    places = sorted({format_list(thread.cpus) for thread in vcpus or vm.threads})
    huge = (vm.memory.huge or 0) + (vm.memory.hugetlb or 0)
    takes = f"takes {_size(vm.memory.proportional)}" + (f", {format_size(huge)} in huge pages" if huge else "")
    threads = count(len(vcpus), "vCPU thread") if vcpus else f"{count(len(vm.threads), 'thread')} without names"
    return f"process {vm.pid}, {threads} on CPUs {' | '.join(places)}; {takes}"


def _machines(overcommit: Overcommit) -> Iterator[tuple[str, str]]:
    if not overcommit.defined:
        yield "machines", "none defined"
        return
    yield "machines", f"{overcommit.running} running of {overcommit.defined}"
    yield "vCPUs", _share(overcommit.vcpus, str) + f" on {count(overcommit.vcpus.host, 'CPU')}"
    now = f"; have now {format_size(overcommit.memory_now)}"
    yield "memory", f"{_share(overcommit.memory, format_size)} of {format_size(overcommit.memory.host)}{now}"
    yield from (("judgement", text) for text in overcommit.judgement)


def _share(share: Share, spell: Callable[[int], str]) -> str:
    running = f"{spell(share.running)} running ({share.running_ratio:.2f}x)"
    return f"{running}, {spell(share.defined)} defined ({share.defined_ratio:.2f}x)"


def _doubts(console: Console, facts: HostFacts) -> None:
    shown = facts.doubts if console.verbose else facts.doubts[:_DOUBTS]
    for doubt in shown:
        console.note(f"doubt: {doubt}")
    if len(shown) < len(facts.doubts):
        console.note(f"{len(facts.doubts) - len(shown)} more doubts: add -v")


def _switch(value: bool | None) -> str:  # noqa: FBT001  the value itself is what is spelled
    return {True: "on", False: "off", None: ABSENT}[value]


def _size(value: int | None) -> str:
    return ABSENT if value is None else format_size(value)
