"""``disk rebase``: another backing file, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent, refused
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.disk.rebasing import Rebased


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("-b", dest="backing", metavar="FILE", required=True, help='the new backing file; "": none')
    parser.add_argument("-F", dest="backing_format", metavar="FORMAT", help="its format")
    parser.add_argument("-u", dest="unsafe", action="store_true", help="change the name alone, as after a move")
    parser.add_argument("-c", dest="compress", action="store_true", help="compress what the image takes over (qcow2)")
    parser.add_argument("-t", dest="cache", metavar="CACHE", help="as qemu-img's; the end is always flushed")
    parser.add_argument("-T", dest="source_cache", metavar="CACHE", help="as qemu-img's; has no effect here")
    arguments.progress(parser)
    arguments.source(parser)
    arguments.backing(parser)
    options.change(parser)
    refused.flags(parser, ("--image-opts", "--object"))
    parser.set_defaults(run=_rebase)


def _rebase(args: argparse.Namespace, console: Console) -> int:
    if args.plan:
        looked = _do(args, console, dry_run=True)
        step = consent.Step("~", _told(args.file, looked))
        return consent.settle(consent.Proposal(f"rebase {args.file}", (step,)), args, console, ask=False) or 0
    done = _do(args, console, dry_run=False)
    if console.json:
        name, format_ = (done.backing.name, done.backing.format) if done.backing else (None, None)
        names = {"backing-filename": name, "backing-filename-format": format_}
        console.data({"filename": args.file, **names, "copied": done.copied})
    elif not console.quiet:
        console.line(f"✓ {_told(args.file, done)}")
    return 0


def _do(args: argparse.Namespace, console: Console, *, dry_run: bool) -> Rebased:
    from virtkit import disk

    with console.transfer(asked=args.progress) as report:
        return disk.rebase(
            args.file,
            args.backing or None,
            args.backing_format,
            unsafe=args.unsafe,
            compress=args.compress,
            dry_run=dry_run,
            source_format=args.source_format,
            access=arguments.access(args),
            report=report,
        )


def _told(path: str, found: Rebased) -> str:
    on = f"on {found.backing.name} ({found.backing.format})" if found.backing else "without a backing file"
    if found.copied:
        return f"{path}: {on}; {format_size(found.copied)} taken over from the old backing file"
    return f"{path}: {on}"
