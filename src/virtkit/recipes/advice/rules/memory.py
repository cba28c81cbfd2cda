"""What backs a machine's memory: https://libvirt.org/formatdomain.html#memory-backing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import GIB, MIB, divide_up, format_size
from virtkit.host.advice.case import Profile
from virtkit.host.knob import Evidence
from virtkit.recipes.advice.wish import Wish
from virtkit.vm.xml import element

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.recipes.advice.wish import Rule, View
    from virtkit.vm.domain import Domain
    from virtkit.vm.xml import Element

_QUICK = (Profile.DATABASE, Profile.REALTIME)
_PAGE = 2 * MIB
_WALK = Evidence(
    "measured",
    "341, 403, 335 ns a step with 4 KiB pages; 251, 234, 194 ns with THP; 231, 195, 174 ns from the pool",
    "random walk of 1 GiB by one thread, 3 rounds, 2 CPUs, kernel 6.18",
)
_SPLIT = Evidence(
    "measured",
    "huge pages of two merged guests: 212 -> 80 and 218 -> 94 MB",
    "two like guests of 256 MiB, 25 s, kernel 6.18",
)


def huge_pages(view: View) -> Iterator[Wish]:
    if not view.suits(*_QUICK) or view.guest.page_size or view.guest.memory < GIB:
        return
    pages = divide_up(view.guest.memory, _PAGE)
    spare = sum(max(room, 0) for room in (view.case.room or {}).values())
    yield Wish(
        "memory",
        "4 KiB pages",
        "2 MiB pages",
        "the shortest page walks, and memory that is never missing, swapped or merged",
        (_WALK,),
        _back(element("hugepages")),
        f"virtkit vm edit {view.guest.name}; virtkit host tune; virtkit vm restart {view.guest.name}",
        cost=f"{format_size(view.guest.memory)} that nobody else can use, running or not; no balloon",
        by_hand=_risk(view, spare, pages),
    )


def _risk(view: View, spare: int, pages: int) -> str:
    if view.guest.memory > spare:
        room, has = format_size(spare), format_size(view.guest.memory)
        return f"the nodes can spare {room} now, it has {has}: set the pages aside at boot, or it does not start"
    return f"it does not start while the pool has fewer than {pages} free pages: edit, tune, restart, in this order"


def apart(view: View) -> Iterator[Wish]:
    """Where KSM runs for others."""
    merges = view.case.now("ksm.run") == "1"
    if merges and view.suits(*_QUICK) and view.domain.node.find("memoryBacking/nosharepages") is None:
        yield Wish(
            "memory",
            "merged by KSM",
            "not merged",
            "KSM runs on this host for others; it would split this machine's huge pages",
            (_SPLIT,),
            _back(element("nosharepages")),
            f"virtkit vm edit {view.guest.name}",
            cost="what could be merged is not",
        )


def _back(node: Element) -> Callable[[Domain], None]:
    """An edit that adds ``node`` to the memory's backing."""

    def edit(domain: Domain) -> None:
        backing = domain.node.find("memoryBacking")
        if backing is None:
            domain.node.append(backing := element("memoryBacking"))
        backing.append(node)

    return edit


RULES: tuple[Rule, ...] = (huge_pages, apart)
