"""``disk convert``: a new image with the content of others."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent, making, refused, within
from virtkit.core.errors import BusyError, ConflictError, CorruptImageError, NotSupportedError, UsageError, VirtkitError
from virtkit.core.progress import silent
from virtkit.core.units import format_size, parse_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.disk.conversion.order import Converted

CACHES = ("none", "writeback", "writethrough", "directsync", "unsafe")
LONG = 30  # seconds of work that one is sorry about
_REFUSED = (UsageError, ConflictError, NotSupportedError, BusyError)  # nothing was begun
_DURABLE = {"none", "writethrough", "directsync"}  # caches whose user wants the bytes on the drive


def build(parser: Arguments) -> None:
    parser.add_argument("files", metavar="FILE", nargs="*", help="SOURCE ... TARGET; several sources become one disk")
    parser.mixed = True
    arguments.source(parser)
    parser.add_argument("-l", dest="snapshot", metavar="SNAPSHOT", help="an internal snapshot of SOURCE, by id or name")
    parser.add_argument("--salvage", action="store_true", help="what cannot be read becomes zeros and is listed")
    _target(parser)
    _pace(parser)
    refused.flags(parser, ("--image-opts", "--target-image-opts", "--object"))
    arguments.backing(parser)
    options.change(parser)
    parser.set_defaults(run=_convert)


def _target(parser: Arguments) -> None:
    parser.add_argument("-O", dest="target_format", metavar="FORMAT", help="format of TARGET; else its suffix says")
    making.options(parser)
    parser.add_argument("-c", dest="compress", action="store_true", help="compress; see -o compression_type=zstd")
    parser.add_argument("--level", help="of compression: fast, default or best; implies -c")
    making.encryption(parser)
    parser.add_argument(
        "-B", dest="new_backing", metavar="FILE", help="TARGET holds only what SOURCE has above this backing image"
    )
    parser.add_argument("-F", dest="new_backing_format", metavar="FORMAT", help="format of that backing image")
    parser.add_argument("-n", dest="existing", action="store_true", help="TARGET exists: its disk is overwritten")
    within.build(parser)
    parser.add_argument("--target-is-zero", action="store_true", help="with -n: TARGET holds nothing but zeros so far")
    parser.add_argument("--bitmaps", action="store_true", help="keep the dirty bitmaps of SOURCE")
    parser.add_argument("--skip-broken-bitmaps", action="store_true", help="with --bitmaps: leave out broken ones")
    parser.add_argument("--snapshots", action="store_true", help="keep all internal snapshots of SOURCE")
    parser.add_argument("-S", dest="sparse", type=parse_size, metavar="SIZE", help="shorter runs of zeros take room")
    parser.add_argument("--overwrite", action="store_true", help="replace TARGET if it exists")
    parser.add_argument("--durable", action="store_true", help="return when all is on stable storage")
    parser.add_argument(
        "--resume", action="store_true", help="keep what is done when interrupted; go on there when called again"
    )
    parser.add_argument("--verify", action="store_true", help="read TARGET back and compare before it appears")


def _pace(parser: Arguments) -> None:
    arguments.progress(parser)
    parser.add_argument("-r", dest="rate", type=parse_size, default=0, metavar="SIZE", help="bytes a second at most")
    parser.add_argument("-m", dest="threads", type=int, metavar="N", help="threads at most, 1 to 16")
    parser.add_argument("-W", dest="any_order", action="store_true", help="as qemu-img's; the order is ours anyway")
    parser.add_argument("-C", dest="offload", action="store_true", help="as qemu-img's; blocks are shared anyway")
    parser.add_argument("-t", dest="cache", choices=CACHES, help="none, writethrough and directsync mean --durable")
    parser.add_argument("-T", dest="source_cache", choices=CACHES, help="as qemu-img's; has no effect here")


class _Ask(NamedTuple):
    """What the words on the command line come to."""

    sources: list[str]
    target: str
    options: dict[str, str]
    secret: bytes | None


def _convert(args: argparse.Namespace, console: Console) -> int:
    if making.asks_for_help(args):
        return making.show_options(_format(args), console)
    if args.in_place or args.take_back:
        return within.run(args, console)
    ask = _asked(args)
    if args.plan:
        would = _make(args, ask, silent, dry_run=True)
        proposal = consent.Proposal(f"convert {', '.join(ask.sources)}", (_step(args, ask, would),))
        return consent.settle(proposal, args, console, ask=False) or 0
    began = time.monotonic()
    try:
        with console.transfer(asked=args.progress) as report:
            made = _make(args, ask, report)
    except BaseException as error:
        if isinstance(error, CorruptImageError):
            error.hint = error.hint or "--salvage copies what can be read, with zeros for the rest"
        if args.resume and not isinstance(error, _REFUSED):
            _say_what_stays(ask.target, console)
        elif isinstance(error, KeyboardInterrupt) and time.monotonic() - began > LONG and not args.in_place:
            console.note("nothing of it stays; with --resume it could go on here when called again")
        raise
    for start, end in made.lost:
        console.note(f"warning: bytes {start:#x} to {end:#x} could not be read: zeros stand for them")
    for name in made.left_out:
        console.note(f"warning: bitmap {name} is broken and was left out")
    _say(args, made, console)
    return 0


def _say_what_stays(target: str, console: Console) -> None:
    """After an interruption: what is done, and what to type."""
    import shlex

    from virtkit import disk

    left = None
    with suppress(VirtkitError):  # what interrupted the work is told already
        left = disk.unfinished(target)
    if left:
        percent = left.done * 100 // max(left.total, 1)
        console.note(f"{percent} % are done ({format_size(left.done)} of {format_size(left.total)}) and stay")
        console.note(f"  to go on: {shlex.join(['virtkit', *sys.argv[1:]])}")
        console.note(f"  to give it up: rm {shlex.join(left.files)}")


def _format(args: argparse.Namespace) -> str:
    from virtkit.disk import catalog

    if args.target_format is None and not args.files:
        raise UsageError("-o help: format is not said", hint="-O qcow2 -o help")
    return args.target_format or catalog.from_suffix(args.files[-1])


def _asked(args: argparse.Namespace) -> _Ask:
    if len(args.files) < 2:  # noqa: PLR2004  a source and a target
        raise UsageError("files are missing, expected SOURCE ... TARGET", hint="virtkit disk convert --help")
    chosen = making.parsed(args)
    *sources, target = args.files
    if args.existing:
        return _Ask(sources, target, chosen, arguments.secret(args.new_key_file))
    return _Ask(sources, target, chosen, making.secret(args, chosen))


def _make(args: argparse.Namespace, ask: _Ask, report: Sink, *, dry_run: bool = False) -> Converted:
    from virtkit import disk

    return disk.convert(
        ask.sources,
        ask.target,
        source_format=args.source_format,
        target_format=args.target_format,
        snapshot=args.snapshot,
        backing=args.new_backing,
        backing_format=args.new_backing_format,
        compress=args.compress or args.level is not None,
        level=args.level or "default",
        options=ask.options,
        secret=ask.secret,
        sparse=args.sparse,
        threads=args.threads,
        rate=args.rate,
        salvage=args.salvage,
        existing=args.existing,
        is_zero=args.target_is_zero,
        overwrite=args.overwrite,
        durable=args.durable or args.cache in _DURABLE,
        verify=args.verify,
        bitmaps=args.bitmaps,
        skip_broken_bitmaps=args.skip_broken_bitmaps,
        snapshots=args.snapshots,
        resume=args.resume,
        dry_run=dry_run,
        access=arguments.access(args),
        report=report,
    )


def _step(args: argparse.Namespace, ask: _Ask, would: Converted) -> consent.Step:
    sources = ", ".join(ask.sources)
    if args.existing:
        return consent.Step("~", f"{ask.target}: the disk in it is overwritten with that of {sources}")
    sign, again = ("~", ", in place of what is there") if os.path.exists(ask.target) else ("+", "")
    return consent.Step(sign, f"{ask.target}: {would.format}, {format_size(would.size)}, made from {sources}{again}")


def _say(args: argparse.Namespace, made: Converted, console: Console) -> None:
    if console.json:
        data: dict[str, Json] = {
            "filename": made.target,
            "format": made.format,
            "virtual-size": made.size,
            "actual-size": made.allocated,
        }
        if args.salvage:
            data["lost"] = [{"start": start, "length": end - start} for start, end in made.lost]
        if made.left_out:
            data["skipped-bitmaps"] = list(made.left_out)
        console.data(data)
    elif not console.quiet:
        sign = "~" if args.existing else "+"
        sizes = f"{format_size(made.size)} virtual, {format_size(made.allocated)} on disk"
        console.line(f"{sign} {made.target}: {made.format}, {sizes}")
