"""``virtkit vm start``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    facts.named(parser)
    options.change(parser)
    parser.set_defaults(run=_start)


def _start(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out
    from virtkit.core.plan import Plan
    from virtkit.core.system import System
    from virtkit.recipes.crowding import before_start

    plan = vm.start(args.name)
    warnings = before_start(args.name, System()) if plan else ()
    if not args.plan:
        for warning in warnings:
            console.note(f"warning: {warning}")
    return carry_out(plan + Plan("", (), warnings), args, console, ask=False)
