"""All about one knob on this host: the long text of ``--why``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli.host.table import indented, named, proof, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.advising import Advice
    from virtkit.host.advice.finding import Recommendation
    from virtkit.host.listing import Row


def story(name: str, advice: Advice) -> Iterator[str]:
    """NotFoundError for a knob that is not known, or not here."""
    from virtkit.core.errors import NotFoundError
    from virtkit.host.registry import setting

    knob = setting(name).knob
    rows = [row for row in advice.case.at(knob.name) if name in {knob.name, row.setting.name}]
    if not rows:
        raise NotFoundError(
            f"{name}: not here: this host has no {setting(name).file}", hint=f"virtkit host explain {knob.name}"
        )
    yield f"{name} ({rows[0].setting.file})"
    yield from indented(knob.explain.en)
    yield from (line for row in rows for line in _now(row))
    about = [each for each in advice.recommendations if each.row in rows]
    if not about:
        yield "✓ nothing speaks against it as it is"
    for each in about:
        yield from _advice(each)
    for weighed in advice.weighed:
        if weighed.between == knob.name:
            yield from indented(f"weighed: {weighed.settled}")
    if knob.danger:
        yield from indented(f"danger: {knob.danger.en}")


def _now(row: Row) -> Iterator[str]:
    counts = f", in effect {row.counts}" if row.counts != row.now else ""
    kept = f"{row.kept.value} by {row.kept.where}" if row.kept else "no file sets it at boot"
    yield f"  {row.setting.name}: now {row.now or 'none'}{counts}; {kept}"


def _advice(each: Recommendation) -> Iterator[str]:
    yield f"~ {named([each])}: {spelled(each, each.row.now)} -> {spelled(each, each.want)} ({each.confidence.value})"
    yield from indented(f"why: {each.why}")
    if each.cost:
        yield from indented(f"costs: {each.cost}")
    if each.reason:
        yield from indented(f"left to you: {each.reason}")
    yield from proof(each)
    yield f"    type: {each.typed}"
