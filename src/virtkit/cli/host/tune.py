"""``virtkit host tune``: the doctor's advice, done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.host import purpose

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    parser.description = "What needs a reboot, machines that are off or a decision is told and not done."
    purpose.add(parser)
    options.change(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host
    from virtkit.cli.change import carry_out
    from virtkit.core.system import System
    from virtkit.recipes.advice.diagnosis import diagnose

    found = diagnose(purpose.asked(args), System())
    plan = host.tune(System(), found.advice)
    status = carry_out(plan, args, console, details=True)
    if not (plan or args.plan or console.json):
        console.lines(f"note: {note}" for note in plan.notes)
    return status
