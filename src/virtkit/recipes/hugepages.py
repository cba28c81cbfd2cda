"""Huge pages and the machines that want them: what is used, what waits for a machine that is off, what is stranded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import VirtkitError
from virtkit.core.units import divide_up
from virtkit.host import pools
from virtkit.host.picture import data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.plan import Json
    from virtkit.core.system import System
    from virtkit.host.pools import Pool
    from virtkit.vm.backing import HugeClaim


class Stock(NamedTuple):
    """Of one size, on the whole host; counts are pages."""

    size: int  # bytes of a page
    free: int
    reserved: int  # of the free ones: promised to a process that has not touched them yet
    wanted: int  # by machines that are off

    @property
    def stranded(self) -> int:
        """Free, and no machine of this host, running or not, will ever ask for them."""
        return max(self.free - self.reserved - self.wanted, 0)

    @property
    def short(self) -> int:
        """What lacks for all machines that are off to start."""
        return max(self.wanted - (self.free - self.reserved), 0)


class Usage(NamedTuple):
    pools: tuple[Pool, ...]
    claims: tuple[HugeClaim, ...]
    stocks: tuple[Stock, ...]
    libvirt: str  # why its machines are not known; empty: they are
    mounted: bool  # hugetlbfs, through which libvirt gives a machine its pages

    def data(self) -> dict[str, Json]:
        whole = data(self)
        stocks: list[Json] = [
            {**stock._asdict(), "stranded": stock.stranded, "short": stock.short} for stock in self.stocks
        ]
        return {**whole, "stocks": stocks}


def usage(system: System) -> Usage:
    """Machines that are off are left out where libvirt does not answer."""
    found, (claims, why) = pools.read(system), _claims()
    mounted = " hugetlbfs " in system.read_or("/proc/mounts", "")
    return Usage(found, claims, tuple(stocks(found, claims, pools.reserved(system))), why, mounted)


def _claims() -> tuple[tuple[HugeClaim, ...], str]:
    from virtkit import vm

    try:
        return vm.huge_claims(), ""
    except VirtkitError as error:
        return (), error.message


def stocks(found: Sequence[Pool], claims: Sequence[HugeClaim], reserved: dict[int, int]) -> list[Stock]:
    """A machine that runs has its pages already."""
    sizes = sorted({pool.size for pool in found})
    return [
        Stock(
            size,
            free=sum(pool.free for pool in found if pool.size == size),
            reserved=reserved.get(size, 0),
            wanted=sum(divide_up(claim.memory, size) for claim in claims if claim.size == size and not claim.active),
        )
        for size in sizes
    ]
