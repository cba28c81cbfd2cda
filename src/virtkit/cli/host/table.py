"""The doctor's table, in 80 columns: knob, now, wanted, evidence, and the reason below."""

from __future__ import annotations

from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from virtkit.core.cpuset import format_list
from virtkit.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from virtkit.host.advice.finding import Recommendation, Weighed
    from virtkit.host.knob import Evidence
    from virtkit.recipes.advice.wish import MachineAdvice

WIDTH = 80
_KNOB, _NOW, _WANTED = 35, 12, 15
_MACHINE = (24, 21, 18)


def section(title: str, sign: str, advice: Sequence[Recommendation], *, verbose: bool) -> Iterator[str]:
    if not advice:
        return
    yield f"\n{title}" if title else ""
    yield f"  {'KNOB':{_KNOB}} {'NOW':{_NOW}} {'WANTED':{_WANTED}} EVIDENCE"
    for alike in _alike(advice):
        yield from _row(sign, alike)
        yield from indented(alike[0].why)
        if alike[0].cost:
            yield from indented(f"costs: {alike[0].cost}")
        if alike[0].reason:
            yield from indented(alike[0].reason)
            yield from (f"    type: {each.typed}" for each in alike)
        if verbose:
            yield from proof(alike[0])


def _row(sign: str, alike: Sequence[Recommendation]) -> Iterator[str]:
    first = alike[0]
    cells = (named(alike), spelled(first, first.row.now), spelled(first, first.want), first.confidence.value)
    return _cells(sign, cells, (_KNOB, _NOW, _WANTED))


def _cells(sign: str, cells: tuple[str, str, str, str], widths: tuple[int, int, int]) -> Iterator[str]:
    """Name, now, wanted, evidence; values that are too long for a column stand below the name."""
    name, now, want, evidence = cells
    if all(len(cell) <= width for cell, width in zip(cells, widths, strict=False)):
        columns = " ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=False))
        yield f"{sign} {columns} {evidence}"
    else:
        yield f"{sign} {name}"
        yield f"    {now} -> {want}  {evidence}"


def _alike(advice: Iterable[Recommendation]) -> Iterator[list[Recommendation]]:
    """The places of one knob for which the same is said."""
    for _, found in groupby(advice, lambda each: (each.row.setting.knob.name, each.row.now, each.want, each.why)):
        yield list(found)


def named(alike: Sequence[Recommendation]) -> str:
    """``cpufreq.governor@0-15``, ``block.scheduler@sda,sdb``."""
    knob, places = alike[0].row.setting.knob, [each.row.setting.place for each in alike]
    if not places[0]:
        return knob.name
    numbers = all(map(str.isdecimal, places))
    return f"{knob.name}@{format_list(map(int, places)) if numbers else ','.join(places)}"


def spelled(each: Recommendation, value: str) -> str:
    """For people: bytes as a size; of a pair of rivals 0 means that the other one counts."""
    legal, knob = each.row.setting.knob.legal, each.row.setting.knob
    if knob.rival and value == "0":
        return f"by {knob.rival.rpartition('_')[2]}"
    if getattr(legal, "unit", "") == "bytes":
        return format_size(int(value))
    return value or "none"


def proof(each: Recommendation) -> Iterator[str]:
    yield from evidenced(each.proof)


def evidenced(proof: Iterable[Evidence]) -> Iterator[str]:
    for evidence in proof:
        said = ": ".join(part for part in (evidence.source, evidence.figure) if part)
        yield from indented(f"evidence: {said}" + (f" ({evidence.conditions})" if evidence.conditions else ""))


def machines(found: Iterable[MachineAdvice], *, verbose: bool) -> Iterator[str]:
    """A machine's own definition: what the host cannot make up for."""
    found = list(found)
    if found:
        yield "\nmachines: their definitions, which count when they start again"
        yield "  MACHINE, WHAT            NOW                   WANTED             EVIDENCE"
    for each in found:
        wish = each.wish
        cells = (f"{each.name} {wish.what}", wish.now, wish.want, wish.confidence.value)
        yield from _cells("?" if wish.by_hand else "!", cells, _MACHINE)
        yield from indented(wish.why)
        if wish.cost:
            yield from indented(f"costs: {wish.cost}")
        if wish.by_hand:
            yield from indented(wish.by_hand)
        yield f"    type: {wish.typed}"
        if verbose:
            yield from (f"    {line}" for line in each.xml)
            yield from evidenced(wish.evidence)


def weighed(found: Iterable[Weighed], *, verbose: bool) -> Iterator[str]:
    found = list(found)
    if found:
        yield "\nweighed against each other"
    for each in found:
        yield f"  {each.between}"
        yield from indented(each.settled)
        yield from evidenced(each.evidence if verbose else ())


def indented(text: str, first: str = "    ") -> list[str]:
    return wrap(
        text, WIDTH, initial_indent=first, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
