"""Pools of huge pages: as many as the definitions of machines ask for, as far as the node can spare them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import GIB, MIB, divide_up, format_size
from virtkit.host.advice.finding import Recommendation, Weighed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule
    from virtkit.host.listing import Row

_KNOBS = {2 * MIB: "hugepages.2M", GIB: "hugepages.1G"}


def pools(case: Case) -> Iterator[Finding]:
    for size, knob in _KNOBS.items():
        rows = case.at(knob)
        needed = sum(divide_up(guest.memory, size) for guest in case.guests if guest.page_size == size)
        there = sum(int(row.now) for row in rows)
        if rows and needed > there:
            yield from _more(case, rows, needed, size)
        elif rows and there > needed and case.guests:
            yield from _fewer(case, rows, there - needed, size)


def _more(case: Case, rows: list[Row], needed: int, size: int) -> Iterator[Finding]:
    """From the node that can spare most on, so that a machine finds its pages on as few nodes as can be."""
    missing = needed - sum(int(row.now) for row in rows)
    names = ", ".join(guest.name for guest in case.guests if guest.page_size == size)
    wanted = missing
    for row in sorted(rows, key=lambda row: -_spare(case, row, size)):
        given = min(missing, _spare(case, row, size))
        if given:
            missing -= given
            why = f"{names}: definitions ask for {needed} pages of {format_size(size)}"
            cost = f"{format_size(given * size)} that only such machines can use: not swapped, merged or ballooned"
            yield Recommendation(row, str(int(row.now) + given), why, cost)
    if missing:
        yield Weighed("huge pages against what the host needs", _lacking(case, names, wanted, missing, size))


def _lacking(case: Case, names: str, wanted: int, missing: int, size: int) -> str:
    room = sum(max(spare, 0) for spare in (case.room or {}).values())
    return (
        f"{names}: {wanted} more pages of {format_size(size)} are asked for ({format_size(wanted * size)}); the nodes"
        f" can spare {format_size(room)} of their memory, with a reserve kept for the host: {missing} pages"
        f" ({format_size(missing * size)}) are not given. Stop a machine first, or set them aside at boot"
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


def _spare(case: Case, row: Row, size: int) -> int:
    """Pages that the node can give besides; 0 where it does not say what it has."""
    return max((case.room or {}).get(int(row.setting.place), 0) // size, 0)


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
