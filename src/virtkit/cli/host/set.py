"""``virtkit host set``: knobs by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    parser.add_argument(
        "wishes",
        metavar="KNOB[@PLACE]=VALUE",
        nargs="+",
        help="as virtkit host knobs lists them; without its place a knob is set at all of them",
    )
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--runtime", action="store_true", help="now only: a reboot takes it away")
    when.add_argument("--persistent", action="store_true", help="from the next boot on only: now nothing changes")
    options.change(parser)
    parser.set_defaults(run=_set)


def _set(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host
    from virtkit.cli.change import carry_out
    from virtkit.core.system import System

    run_time, persistent = not args.persistent, not args.runtime
    plan = host.set_knobs(System(), _pairs(args.wishes), run_time=run_time, persistent=persistent)
    return carry_out(plan, args, console, details=True)


def _pairs(wishes: Iterable[str]) -> dict[str, str]:
    from virtkit.core.errors import UsageError

    found: dict[str, str] = {}
    for wish in wishes:
        name, sign, value = wish.partition("=")
        if not (name and sign):
            raise UsageError(f"{wish}: expected KNOB=VALUE or KNOB@PLACE=VALUE", hint="virtkit host knobs")
        if found.setdefault(name, value) != value:
            raise UsageError(
                f"{name}: is to be {found[name]} and {value}, expected one of them",
                hint=f"virtkit host set {name}={value}",
            )
    return found
