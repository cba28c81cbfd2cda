"""``disk bitmap``: dirty bitmaps, which tell what was written since, for incremental backups."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments
from virtkit.core.errors import UsageError
from virtkit.core.units import format_size, parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.disk.dirtymaps import Step
    from virtkit.disk.format import Bitmap

_ABOUT = {
    "add": "make it; it records from then on, unless --disable follows",
    "remove": "",
    "clear": "nothing counts as written any more",
    "enable": "a running machine records in it",
    "disable": "it stays as it is",
}


class _Steps(argparse.Action):
    """In the order in which they are typed."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        source = values if isinstance(values, str) else ""
        namespace.steps = [*namespace.steps, ((option_string or "").lstrip("-"), source)]


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("name", metavar="NAME", help="of the bitmap")
    for verb, about in _ABOUT.items():
        parser.add_argument(f"--{verb}", action=_Steps, nargs=0, dest="steps", default=[], help=about)
    parser.add_argument(
        "--merge", action=_Steps, dest="steps", metavar="SOURCE", help="what SOURCE says is written counts as written"
    )
    parser.add_argument("-g", dest="granularity", metavar="SIZE", help="of --add: bytes that one bit stands for")
    parser.add_argument("-b", dest="other", metavar="FILE", help="the image that SOURCE is in")
    parser.add_argument("-F", dest="other_format", metavar="FORMAT", help="format of that image")
    arguments.source(parser)
    options.change(parser)
    parser.set_defaults(run=_bitmap)


def _bitmap(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk
    from virtkit.disk.dirtymaps import Step

    steps = [Step(*step) for step in args.steps]
    _require_sense(args, steps)
    if args.plan:
        for step in steps:
            console.line(f"~ {args.file}: {step.verb} {step.source and f'{step.source} into '}bitmap {args.name}")
        return options.PLAN_HAS_CHANGES
    kept = disk.edit_bitmap(
        args.file,
        args.name,
        steps,
        granularity=parse_size(args.granularity) if args.granularity else None,
        source_format=args.source_format,
        other=(args.other, args.other_format) if args.other else None,
        access=arguments.access(args),
    )
    if console.json:
        console.data([{"name": one.name, "granularity": one.granularity, "flags": _flags(one)} for one in kept])
    elif not console.quiet:
        now = next((one for one in kept if one.name == args.name), None)
        console.line(f"✓ {args.file}: " + (_told(now) if now else f"bitmap {args.name} is gone"))
    return 0


def _require_sense(args: argparse.Namespace, steps: list[Step]) -> None:
    verbs = [step.verb for step in steps]
    if not verbs:
        raise UsageError("bitmap: what to do is not said", hint=f"virtkit disk bitmap --add {args.file} {args.name}")
    if args.granularity and "add" not in verbs:
        raise UsageError("bitmap: -g is for --add alone")
    if args.other and "merge" not in verbs:
        raise UsageError("bitmap: -b is for --merge alone")
    if "enable" in verbs and "disable" in verbs:
        raise UsageError("bitmap: --enable and --disable contradict each other")


def _flags(bitmap: Bitmap) -> list[str]:
    """As qemu-img lists them."""
    return [*(["in-use"] if bitmap.broken else []), *(["auto"] if bitmap.enabled else [])]


def _told(bitmap: Bitmap) -> str:
    state = "records" if bitmap.enabled else "does not record"
    return f"bitmap {bitmap.name}, {format_size(bitmap.granularity)} a bit, {state}"
