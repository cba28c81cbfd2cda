"""``virtkit host knobs``: what can be tuned here."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.host import source

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.host.listing import Row

_WIDTH = 40  # columns for what is legal


def build(parser: Arguments) -> None:
    parser.add_argument("only", metavar="FAMILY|KNOB", nargs="?", default="", help="only these; -v explains them")
    options.output(parser)
    source.add(parser)
    parser.set_defaults(run=_knobs)


def _knobs(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host

    with source.host_of(args) as system:
        rows = host.list_knobs(system, args.only)
    if console.json:
        console.data([row.data() for row in rows])
        return 0
    console.table(("KNOB", "NOW", "LEGAL", "PERSISTENT", "RISK"), [_line(like) for like in _alike(rows)])
    if console.verbose:
        console.lines(line for like in _alike(rows) for line in _story(like[0]))
    return 0


def _alike(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The places of one knob that show the same."""
    for _, found in groupby(
        rows, lambda row: (row.setting.knob.name, row.now, row.counts, row.legal, row.kept and row.kept[1:])
    ):
        yield list(found)


def _line(rows: list[Row]) -> tuple[str, ...]:
    row, knob = rows[0], rows[0].setting.knob
    places = ",".join(one.setting.place for one in rows)
    now = row.now or "none"
    if row.counts != row.now:
        now += f" (in effect {row.counts or 'none'})"
    legal = row.legal if len(row.legal) <= _WIDTH else f"{row.legal[: _WIDTH - 3]}..."
    kept = f"{row.kept.value} ({row.kept.where})" if row.kept else "-"
    risk = knob.risk.value if row.writable else f"{knob.risk.value}, read-only now"
    return f"{knob.name}@{places}" if places else knob.name, now, legal, kept, risk


def _story(row: Row) -> Iterator[str]:
    knob = row.setting.knob
    yield f"\n{knob.name} ({row.setting.file})"
    yield from _wrapped(knob.explain.en)
    yield f"  legal: {row.legal}"
    if knob.danger:
        yield from _wrapped(f"danger: {knob.danger.en}")
    for evidence in knob.evidence:
        said = ": ".join(part for part in (evidence.source, evidence.figure) if part)
        yield f"  evidence: {said}" + (f" ({evidence.conditions})" if evidence.conditions else "")


def _wrapped(text: str) -> list[str]:
    from textwrap import wrap

    return wrap(text, 100, initial_indent="  ", subsequent_indent="  ")
