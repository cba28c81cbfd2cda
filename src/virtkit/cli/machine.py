"""``virtkit up | plan | status | down FILE``: the declarative file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.deadman import Confirm
    from virtkit.core.engine import Undone
    from virtkit.core.plan import Plan


def build(parser: Arguments, verb: str) -> None:
    parser.add_argument("file", metavar="FILE", type=Path, help="a declarative file (docs/en/declarative-file.md)")
    if verb in {"plan", "status"}:
        options.output(parser)
    else:
        options.change(parser)
    if verb == "up":
        options.confirmation(parser)
    if verb == "down":
        parser.add_argument("--disks", action="store_true", help="also delete the disks that the file made")
        parser.add_argument("--force", action="store_true", help="also take back what somebody else changed since")
    parser.set_defaults(run={"up": up, "plan": plan, "status": status, "down": down}[verb])


def up(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.cli.confirm import wanted
    from virtkit.recipes.runner import origin

    return carry_out(_plan(args, wanted(args)), args, console, origin=origin(args.file))


def plan(args: argparse.Namespace, console: Console) -> int:

    made = _plan(args)
    console.plan(made)
    return options.PLAN_HAS_CHANGES if made else 0


def _plan(args: argparse.Namespace, confirm: Confirm | None = None) -> Plan:
    from virtkit.core.system import System
    from virtkit.recipes import machine, spec

    return machine.plan_up(spec.load(args.file), System(), confirm=confirm)


def status(args: argparse.Namespace, console: Console) -> int:
    """Exit status 3 where something is not as the file says, as ``plan`` would."""
    from virtkit.core.system import System
    from virtkit.recipes import spec
    from virtkit.recipes.status import compare

    rows = compare(spec.load(args.file), System())
    drifted = [row for row in rows if not row.same]
    if console.json:
        console.data([{**row._asdict(), "same": row.same} for row in rows])
    else:
        console.line(
            "✓ as the file says" if not drifted else f"✗ {len(drifted)} of {len(rows)} values differ from the file"
        )
        console.table(
            ("", "WHAT", "WANTED", "LIVE", "PERSISTENT"),
            [("" if row.same else "✗", row.what, row.wanted, row.live, row.persistent) for row in rows],
        )
    return options.PLAN_HAS_CHANGES if drifted else 0


def down(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.agreement import DECLINED, agreed
    from virtkit.core import wayback
    from virtkit.core.journal import Journal
    from virtkit.core.system import System
    from virtkit.recipes.runner import made_by, take_down

    journal = Journal.default()
    changes = made_by(journal, args.file)
    ways = [wayback.planned(change, delete_data=args.disks) for change in changes]
    lines = [f"put back: {step.text}" for back, _ in ways for step in back]
    if args.plan:
        _show_plan(console, lines)
        return options.PLAN_HAS_CHANGES if lines else 0
    if lines and not args.yes and not agreed(f"take down what {args.file} made", lines, console):
        return DECLINED
    with console.progress() as report:
        done = take_down(journal, changes, System(), report, force=args.force, delete_data=args.disks)
    _show_result(console, args.file, done)
    return 0


def _show_plan(console: Console, lines: list[str]) -> None:
    if console.json:
        console.data(lines)
        return
    for line in lines or ["nothing to take down"]:
        console.line(line)


def _show_result(console: Console, file: Path, done: list[Undone]) -> None:
    back = [text for each in done for text in each.back]
    kept = [text for each in done for text in each.kept]
    if console.json:
        console.data({"back": back, "kept": kept})
        return
    console.line(f"✓ {file}: {len(back)} steps put back" if back else f"✓ {file}: nothing to take down")
    for text in kept:
        console.line(f"  kept, since it holds data: {text} (to delete it: virtkit down {file} --disks)")
