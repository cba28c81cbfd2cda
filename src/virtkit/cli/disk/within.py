"""``disk convert --in-place``: a raw disk becomes another image in its own file, or the raw disk again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli.disk import consent, making
from virtkit.core.errors import UsageError
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.disk.conversion.order import Converted

_FOREIGN = {  # what is about a copy, and its flag
    "existing": "-n",
    "snapshot": "-l",
    "salvage": "--salvage",
    "compress": "-c",
    "level": "--level",
    "new_backing": "-B",
    "bitmaps": "--bitmaps",
    "snapshots": "--snapshots",
    "sparse": "-S",
    "overwrite": "--overwrite",
    "resume": "--resume",
    "verify": "--verify",
    "rate": "-r",
}


def build(parser: Arguments) -> None:
    parser.add_argument(
        "--in-place",
        dest="in_place",
        action="store_true",
        help="the raw disk FILE itself becomes the image, without a copy, and is renamed if a second name follows; "
        "again: what was broken off goes on (ext4 and XFS)",
    )
    parser.add_argument(
        "--take-back", action="store_true", help="with --in-place: FILE, half way, becomes the raw disk again"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """``args`` are convert's."""
    from virtkit import disk

    path, target = _names(args)
    if args.take_back:
        proposal = consent.Proposal(f"take back {path}", (consent.Step("~", f"{path}: the raw disk again"),))
        if (status := consent.settle(proposal, args, console, ask=False)) is not None:
            return status
        disk.take_back_in_place(path)
        if not console.quiet and not console.json:
            console.line(f"~ {path}: the raw disk again")
        return 0
    chosen, kind = making.parsed(args), args.target_format or "qcow2"
    if args.plan:
        would = disk.convert_in_place(path, target, target_format=kind, options=chosen, dry_run=True)
        step = consent.Step("~", f"{path}: {would.format}, {format_size(would.size)}, in place of the raw disk")
        return consent.settle(consent.Proposal(f"convert {path}", (step,)), args, console, ask=False) or 0
    _say(path, disk.convert_in_place(path, target, target_format=kind, options=chosen), console)
    return 0


def _names(args: argparse.Namespace) -> tuple[str, str | None]:
    if not args.in_place:
        raise UsageError("--take-back: is about a conversion in place", hint="--in-place --take-back FILE")
    for name, flag in _FOREIGN.items():
        if getattr(args, name) not in {None, False}:
            raise UsageError(f"{flag}: does not go with --in-place, which copies nothing")
    if args.source_format not in {None, "raw"}:
        raise UsageError(f"-f is {args.source_format}, expected raw: only raw disks are converted in place")
    if len(args.files) not in ({1} if args.take_back else {1, 2}):
        raise UsageError("files are missing or too many, expected FILE, or FILE and its name afterwards")
    return args.files[0], args.files[1] if len(args.files) > 1 else None


def _say(path: str, made: Converted, console: Console) -> None:
    if console.json:
        console.data(
            {
                "filename": made.target,
                "format": made.format,
                "virtual-size": made.size,
                "actual-size": made.allocated,
            }
        )
    elif not console.quiet:
        renamed = f", now {made.target}" if made.target != path else ""
        console.line(f"~ {path}: {made.format}, {format_size(made.size)} virtual, nothing was copied{renamed}")
