"""Pools of huge pages: as many as the definitions of machines ask for, as far as the node can spare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import GIB, MIB, divide_up, format_size
from virtkit.host.advice.finding import Recommendation, Weighed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from virtkit.host.advice.case import Case, Guest
    from virtkit.host.advice.finding import Finding, Rule
    from virtkit.host.listing import Row

_KNOBS = {2 * MIB: "hugepages.2M", GIB: "hugepages.1G"}


def pools(case: Case) -> Iterator[Finding]:
    room = {str(node): max(spare, 0) for node, spare in (case.room or {}).items()}  # bytes, less what is given below
    for size, knob in _KNOBS.items():
        rows = case.at(knob)
        there = sum(int(row.now) for row in rows)
        asking = [guest for guest in case.guests if guest.page_size == size]
        fitting, left = _fitting(asking, size, there + sum(spare // size for spare in room.values()))
        needed = sum(divide_up(guest.memory, size) for guest in fitting)
        if rows and left:
            yield Weighed("huge pages against what the host needs", _lacking(case, left, size))
        if rows and needed > there:
            yield from _more(room, rows, fitting, needed - there, size)
        elif rows and there > needed and case.guests and not left:
            yield from _fewer(case, rows, there - needed, size)


def _fitting(guests: list[Guest], size: int, pages: int) -> tuple[list[Guest], list[Guest]]:
    """Which start with so many pages, those that run first, then the small ones; half a pool starts no machine."""
    fitting: list[Guest] = []
    left: list[Guest] = []
    for guest in sorted(guests, key=lambda guest: (not guest.active, guest.memory)):
        needed = divide_up(guest.memory, size)
        (fitting if needed <= pages else left).append(guest)
        pages -= needed if needed <= pages else 0
    return fitting, left


def _more(room: dict[str, int], rows: list[Row], guests: list[Guest], missing: int, size: int) -> Iterator[Finding]:
    """From the node that can spare most on, so that a machine finds its pages on as few nodes as can be."""
    names = ", ".join(guest.name for guest in guests)
    for row in sorted(rows, key=lambda row: -room.get(row.setting.place, 0)):
        given = min(missing, room.get(row.setting.place, 0) // size)
        if given:
            missing -= given
            room[row.setting.place] -= given * size
            why = f"{names}: asked for by definition, in pages of {format_size(size)}"
            cost = f"{format_size(given * size)} that only such machines can use: not swapped, merged or ballooned"
            yield Recommendation(row, str(int(row.now) + given), why, cost)


def _lacking(case: Case, guests: list[Guest], size: int) -> str:
    names = ", ".join(guest.name for guest in guests)
    asked = sum(divide_up(guest.memory, size) for guest in guests)
    room = sum(max(spare, 0) for spare in (case.room or {}).values())
    return (
        f"{names}: {asked} pages of {format_size(size)} are asked for ({format_size(asked * size)}), and the nodes can"
        f" spare {format_size(room)}, with a reserve kept for the host. None are set aside for that: half a pool starts"
        " no machine. Stop another machine first, or set the pages aside at boot"
    )


def _fewer(case: Case, rows: list[Row], surplus: int, size: int) -> Iterator[Finding]:
    """Only pages that nobody has; from the last node on."""
    free = _free(case, size)
    for row in reversed(rows):
        given = min(surplus, free.get(row.setting.place, 0), int(row.now))
        if given:
            surplus -= given
            why = (
                f"{given} pages ({format_size(given * size)}) are set aside, and no machine's definition asks for them"
            )
            by_hand = "somebody may have set them aside for a program that starts later"
            yield Recommendation(row, str(int(row.now) - given), why, by_hand=by_hand)


def _free(case: Case, size: int) -> Mapping[str, int]:
    """Pages that are neither in use nor promised, by node."""
    promised = sum(pool.reserved or 0 for pool in case.facts.hugepages if pool.size == size)
    free: dict[str, int] = {}
    for node in case.facts.topology.nodes:
        for pool in node.hugepages:
            if pool.size == size:
                kept = min(promised, pool.free or 0)
                promised -= kept
                free[str(node.number)] = (pool.free or 0) - kept
    return free


def against_overcommit(case: Case) -> Iterator[Finding]:
    """What a pool has, no balloon gives back: machines that count on overcommit have less to share."""
    total = case.facts.memory.total
    fixed = sum(guest.memory for guest in case.guests if guest.page_size)
    if not total or not fixed or case.promised <= total:
        return
    rest = case.promised - fixed
    yield Weighed(
        "huge pages against overcommit",
        f"machines may ask for {format_size(case.promised)} of {format_size(total)}; {format_size(fixed)} of it are"
        f" huge pages, which cannot be swapped, merged or ballooned. The others share {format_size(total - fixed)}"
        f" for {format_size(rest)}: give the huge pages only to those that need them, or run fewer machines here",
    )


RULES: tuple[Rule, ...] = (pools, against_overcommit)
