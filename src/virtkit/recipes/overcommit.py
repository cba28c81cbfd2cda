"""What machines may ask of the host, against what the host has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.plan import Json
    from virtkit.host.picture import HostFacts

_TIGHT = 0.9  # of the memory: QEMU's own memory, the host's programs and its page cache need the rest


class Demand(NamedTuple):
    """One machine's claim."""

    name: str
    active: bool
    vcpus: int
    memory: int  # bytes that it has now; below ``max_memory`` where a balloon takes some
    max_memory: int  # bytes that it may have


class Share(NamedTuple):
    """Something that the host has, and machines count on; in CPUs or bytes."""

    host: int
    running: int
    defined: int  # running or not

    @property
    def running_ratio(self) -> float:
        return self.running / self.host

    @property
    def defined_ratio(self) -> float:
        return self.defined / self.host


@dataclass(frozen=True)
class Overcommit:
    running: int  # machines
    defined: int
    vcpus: Share
    memory: Share  # the most that the machines may ask for
    memory_now: int  # bytes that running machines have at present
    judgement: tuple[str, ...]  # plain words, the gravest first

    def data(self) -> dict[str, Json]:
        return {
            "machines": {"running": self.running, "defined": self.defined},
            "vcpus": _data(self.vcpus),
            "memory": {**_data(self.memory), "running_now": self.memory_now},
            "judgement": list(self.judgement),
        }


def known_machines() -> list[Demand]:
    """Of the libvirt that answers; no daemon is started for it. MachineError, NotSupportedError."""
    from virtkit import vm

    return [
        Demand(machine.name, machine.active, machine.vcpus, machine.memory, machine.memory_maximum)
        for machine in vm.list(start_daemon=False)
    ]


def measure(facts: HostFacts, demands: Sequence[Demand]) -> Overcommit | None:
    """None where the host does not say how much memory or how many CPUs it has."""
    cpus, memory = len(facts.topology.cpus), facts.memory.total
    if not cpus or not memory:
        return None
    running = [demand for demand in demands if demand.active]
    vcpus = Share(cpus, sum(d.vcpus for d in running), sum(d.vcpus for d in demands))
    most = Share(memory, sum(d.max_memory for d in running), sum(d.max_memory for d in demands))
    too_wide = (
        f"{d.name} has {d.vcpus} vCPUs on {cpus} CPUs: they wait for each other, give it at most {cpus}"
        for d in demands
        if d.vcpus > cpus
    )
    return Overcommit(
        running=len(running),
        defined=len(demands),
        vcpus=vcpus,
        memory=most,
        memory_now=sum(d.memory for d in running),
        judgement=(*_judge_memory(most, facts), *_judge_cpus(vcpus), *too_wide),
    )


def _judge_memory(memory: Share, facts: HostFacts) -> list[str]:
    ratio = f"memory {memory.running_ratio:.2f}x"
    if not memory.defined:
        said = "memory: no machine counts on it"
    elif memory.running > memory.host:
        swap = sum(swap.size - swap.used for swap in facts.memory.swaps)
        beyond = f"it has {format_size(swap)} of free swap" if swap else "it has no swap and will kill a process"
        said = f"{ratio}: running machines can ask for more than the host has; {beyond}"
    elif memory.running > memory.host * _TIGHT:
        said = f"{ratio}: running machines leave the host less than a tenth of its memory"
    elif memory.defined > memory.host:
        said = f"{ratio}: running machines fit; all that are defined together would be {memory.defined_ratio:.2f}x"
    else:
        said = f"{ratio}: all machines fit"
    pools = sum(pool.size * pool.total for pool in facts.hugepages)
    aside = f"{format_size(pools)} of the memory are huge pages, only for machines that ask for them"
    return [said, aside] if pools else [said]


def _judge_cpus(vcpus: Share) -> list[str]:
    if vcpus.running > vcpus.host:
        part = f"when all are busy each gets {100 * vcpus.host // vcpus.running} % of a CPU"
        return [f"vCPUs {vcpus.running_ratio:.2f}x: running machines share the CPUs; {part}"]
    return []


def _data(share: Share) -> dict[str, Json]:
    ratios = {"running_ratio": round(share.running_ratio, 3), "defined_ratio": round(share.defined_ratio, 3)}
    return {**share._asdict(), **ratios}
