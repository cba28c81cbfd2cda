"""What machines ask of the host, and what a plan gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.cpuset import CpuSet

Policy: TypeAlias = Literal["shared", "dedicated", "isolate"]
POLICIES: tuple[Policy, ...] = get_args(Policy)


class Wish(NamedTuple):
    """One machine's.

    ``shared``: its vCPUs float over the CPUs of a node, with others. ``dedicated``: whole cores of its own, siblings
    become pairs of vCPUs. ``isolate``: a whole core for each vCPU, its other threads stay empty.
    """

    name: str
    vcpus: int
    memory: int  # bytes
    page_size: int = 0  # bytes of the huge pages that it wants; 0: ordinary memory
    policy: Policy = "shared"
    devices: tuple[int, ...] = ()  # for each of its host devices the number of the node that it is at
    iothreads: tuple[int, ...] = ()  # their numbers, as libvirt counts them

    @property
    def own_cores(self) -> bool:
        return self.policy != "shared"

    def cores(self, width: int) -> int:
        """Whole cores of ``width`` threads that it takes."""
        return self.vcpus if self.policy == "isolate" else -(-self.vcpus // width)


class Seat(NamedTuple):
    """Where a machine's threads may run and where its memory is."""

    vcpus: tuple[CpuSet, ...]  # by vCPU
    emulator: CpuSet
    iothreads: Mapping[int, CpuSet]
    memory: Mapping[int, int]  # bytes by number of node

    @property
    def cpus(self) -> CpuSet:
        """Of all its vCPUs."""
        return frozenset[int]().union(*self.vcpus)

    @property
    def one_to_one(self) -> bool:
        """Whether each vCPU has one CPU of its own."""
        return len(self.cpus) == len(self.vcpus) and all(len(cpus) == 1 for cpus in self.vcpus)
