"""``virtkit vm diff``: what runs otherwise than the next start will have it. Exit status 1 if there is anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console

DIFFERENT = 1  # as diff(1)


def build(parser: Arguments) -> None:
    facts.named(parser)
    options.output(parser)
    parser.set_defaults(run=_diff)


def _diff(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm

    found = vm.diff(args.name)
    if console.json:
        console.data([{"field": change.path, "now": change.old, "next start": change.new} for change in found])
    elif not found:
        console.line(f"✓ {args.name}: runs as its next start will have it")
    else:
        console.line(f"{args.name}: runs -> from its next start (a power-off, not a reboot inside the guest):")
        for change in found:
            console.line(f"  {change}")
    return DIFFERENT if found else 0
