"""How much more than the host has its machines may ask for, by what they are for; said before one is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import VirtkitError
from virtkit.core.units import format_size
from virtkit.host.advice.case import Profile
from virtkit.host.hugepages import read_pools
from virtkit.host.kernel import Kernel
from virtkit.host.memory import read_memory
from virtkit.host.topology import read_topology
from virtkit.recipes.advice.guests import defined

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.system import System
    from virtkit.host.advice.case import Guest
    from virtkit.host.hugepages import HugePages


class Limit(NamedTuple):
    """Of all that runs, for each that the host has: vCPUs for a CPU, memory for what is no huge page."""

    vcpus: float
    memory: float
    why: str


GENERAL = Limit(4.0, 0.95, "machines are seldom busy together, but memory that is not there is swapped or killed")
LIMITS: dict[Profile, Limit] = {
    Profile.WEB: GENERAL,
    Profile.DATABASE: Limit(1.0, 0.9, "a vCPU that waits for a CPU holds locks, and the database caches by itself"),
    Profile.REALTIME: Limit(1.0, 0.8, "a vCPU that waits misses its deadline"),
    Profile.DESKTOP: Limit(4.0, 1.1, "most sessions idle, and like ones share pages by KSM"),
    Profile.BUILD: Limit(2.0, 1.0, "builds use every CPU that they see"),
}


class Size(NamedTuple):
    cpus: int
    memory: int  # bytes, without the pools of huge pages
    pools: tuple[HugePages, ...]


def before_start(name: str, system: System) -> tuple[str, ...]:
    """Warnings for a machine that is off; none where nothing is known of the host."""
    known = defined().guests
    return crowded([guest for guest in known if guest.name == name and not guest.active], known, read_size(system))


def read_size(system: System) -> Size:
    kernel = Kernel(system)
    pools = read_pools(kernel, "/sys/kernel/mm/hugepages")
    memory = (read_memory(kernel).total or 0) - sum(pool.size * pool.total for pool in pools)
    return Size(len(read_topology(kernel).cpus), max(memory, 0), pools)


def crowded(starts: Sequence[Guest], known: Sequence[Guest], size: Size) -> tuple[str, ...]:
    """What goes over the limit of the strictest of ``starts`` once they run, too."""
    names = [start.name for start in starts]
    all_ = [*starts, *(guest for guest in known if guest.active and guest.name not in names)]
    limits = [(LIMITS[start.profile] if start.profile else GENERAL, start.profile) for start in starts]
    if not limits or not size.cpus or not size.memory:
        return ()
    vcpus = sum(guest.vcpus for guest in all_)
    memory = sum(guest.memory for guest in all_ if not guest.page_size)
    few, what = min(limits, key=lambda limit: limit[0].vcpus)
    less, which = min(limits, key=lambda limit: limit[0].memory)
    said = []
    if vcpus > few.vcpus * size.cpus:
        said.append(
            f"{vcpus} vCPUs on {size.cpus} CPUs ({vcpus / size.cpus:.2f}x), {_more(few.vcpus, what)}: {few.why}"
        )
    if memory > less.memory * size.memory:
        share = f"{format_size(memory)} of {format_size(size.memory)} ({memory / size.memory:.2f}x)"
        said.append(f"machines ask for {share}, {_more(less.memory, which)}: {less.why}")
    return tuple(f"with {', '.join(names)}: {text}" for text in said) + tuple(_pages(starts, size))


def _more(limit: float, profile: Profile | None) -> str:
    return f"more than {limit:.2f}x" + (f" for {profile}" if profile else "")


def _pages(starts: Sequence[Guest], size: Size) -> Iterator[str]:
    free = {pool.size: pool.free or 0 for pool in size.pools}
    for start in starts:
        if start.page_size:
            need = -(-start.memory // start.page_size)
            left = free.get(start.page_size, 0)
            free[start.page_size] = left - need
            if need > left:
                pages = f"{need} huge pages of {format_size(start.page_size)}"
                yield f"{start.name} needs {pages}, {max(left, 0)} are free: it will not start (virtkit host hugepages)"


def before_up(starts: Sequence[Guest], system: System) -> tuple[str, ...]:
    """For machines that may not be there yet; nothing where libvirt does not answer."""
    try:
        return crowded(starts, defined().guests, read_size(system))
    except VirtkitError:
        return ()
