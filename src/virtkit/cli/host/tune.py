"""``virtkit host tune``: the doctor's advice, done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.host import purpose

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.recipes.advice.diagnosis import Diagnosis


def build(parser: Arguments) -> None:
    parser.description = "What needs a reboot, machines that are off or a decision is told and not done."
    purpose.add(parser)
    about = "change machines' definitions, too; running machines notice it when they start again"
    parser.add_argument("--definitions", action="store_true", help=about)
    options.change(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host
    from virtkit.cli.change import carry_out
    from virtkit.core.plan import Plan
    from virtkit.core.system import System
    from virtkit.recipes.advice.diagnosis import diagnose, redefine

    found = diagnose(purpose.asked(args), System())
    plan = host.tune(System(), found.advice)
    if args.definitions:
        plan += redefine(found)
    plan += Plan("", (), tuple(_left(found, redefined=args.definitions)))
    status = carry_out(plan, args, console, details=True)
    if not (plan or args.plan or console.json):
        console.lines(f"note: {note}" for note in plan.notes)
    return status


def _left(found: Diagnosis, *, redefined: bool) -> Iterator[str]:
    """What only machines' own definitions can give."""
    for each in found.machines:
        wish = each.wish
        if wish.by_hand or not (redefined and wish.edit):
            said = wish.by_hand or "counts when it starts again"
            yield f"machine {each.name}: {wish.what}: {wish.now} -> {wish.want}: {said}; {wish.typed}"
