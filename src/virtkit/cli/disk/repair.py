"""``disk repair``: mend an image, see beforehand what that would change, take it back afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments
from virtkit.cli.disk.check import check_data, print_findings, print_repaired, repaired_data, status
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.disk.mending.repair import Rehearsed

_SHOWN = 40  # stretches of the file that are listed


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE")
    arguments.source(parser)
    parser.add_argument("--leaks", action="store_true", help="only leaks: refcounts that are too high")
    parser.add_argument(
        "--undo-file", metavar="UNDO", help="new file for what is overwritten; FILE.undo1 where it is not said"
    )
    parser.add_argument("--take-back", metavar="UNDO", help="give FILE the bytes back that UNDO holds")
    parser.add_argument("--force", action="store_true", help="with --take-back: although FILE was changed since")
    options.change(parser)
    parser.set_defaults(run=_repair)


def _repair(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk
    from virtkit.cli.agreement import DECLINED, agreed

    if args.take_back:
        return _take_back(args, console)
    access = arguments.access(args)
    plan = disk.rehearse_repair(args.file, args.source_format, leaks_only=args.leaks, access=access)
    if args.plan:
        return _plan(args.file, plan, console)
    if plan.stretches and not args.yes and not agreed(f"repair {args.file}", _lines(plan), console):
        return DECLINED
    done = disk.repair(args.file, plan.format, leaks_only=args.leaks, undo=args.undo_file, access=access)
    if console.json:
        console.data(repaired_data(args.file, done))
    else:
        print_repaired(args.file, done, console)
        print_findings(done.after, console)
    return status(done.after)


def _plan(path: str, plan: Rehearsed, console: Console) -> int:
    if console.json:
        stretches: list[Json] = [{"start": change.at, "length": change.length} for change in plan.stretches]
        console.data(
            {
                "before": check_data(path, plan.format, plan.before),
                "after": check_data(path, plan.format, plan.after),
                "changes": list(plan.changes),
                "stretches": stretches,
                "file-size": plan.size_after,
            }
        )
    elif plan.stretches:
        console.line(f"repair {path}:")
        for line in _lines(plan):
            console.line(f"  {line}")
    else:
        stays = f"{plan.after.corruptions} corruptions and {plan.after.leaks} leaks stay"
        console.line(f"repair {path}: nothing to change{f', {stays}' if status(plan.after) else ''}")
    return options.PLAN_HAS_CHANGES if plan.stretches else 0


def _lines(plan: Rehearsed) -> list[str]:
    """What is wrong, what would be done about it, and to which bytes of the file."""
    before, after = plan.before, plan.after
    lines = [f"~ {change}" for change in plan.changes]
    total = sum(change.length for change in plan.stretches)
    lines.append(f"bytes of the file that would be written: {total}")
    lines += [f"  {change.at:#x} to {change.end:#x}" for change in plan.stretches[:_SHOWN]]
    if len(plan.stretches) > _SHOWN:
        lines.append(f"  and {len(plan.stretches) - _SHOWN} more (--output json lists all)")
    if plan.size_after != plan.size_before:
        lines.append(f"the file: {format_size(plan.size_before)} -> {format_size(plan.size_after)}")
    lines.append(f"corruptions: {before.corruptions} -> {after.corruptions}, leaks: {before.leaks} -> {after.leaks}")
    return lines


def _take_back(args: argparse.Namespace, console: Console) -> int:
    """The undo file stays: whoever takes a repair back may want to know what it held."""
    from virtkit import disk
    from virtkit.cli.agreement import DECLINED, agreed

    title = f"take back the repair of {args.file}"
    if args.plan:
        console.line(f"{title}: with the bytes in {args.take_back}")
        return options.PLAN_HAS_CHANGES
    if not args.yes and not agreed(title, [f"~ with the bytes in {args.take_back}"], console):
        return DECLINED
    pieces = disk.take_back(args.file, args.take_back, force=args.force)
    if console.json:
        console.data({"filename": args.file, "undo": args.take_back, "pieces": pieces})
    else:
        console.line(f"✓ {args.file}: as it was before the repair ({pieces} pieces put back)")
    return 0
