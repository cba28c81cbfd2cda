"""``virtkit host bench``: what a setting is worth on this host, or that this cannot be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.core.units import GIB, MIB, parse_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Plan
    from virtkit.host.bench.trial import Setup
    from virtkit.recipes.measuring import Measured

NO_VERDICT = 1  # exit status
_ROUNDS = 12
_DIRECTORY = "/var/tmp"  # noqa: S108  what is made there has no name
_LOADS = ("commit", "write", "read")


def build(parser: Arguments) -> None:
    about = "memory (4K THP hugetlb), cache (none writeback writethrough directsync unsafe), scheduler, jitter"
    parser.mixed = True
    parser.add_argument("what", metavar="WHAT", nargs="?", default="", help=about)
    parser.add_argument("sides", metavar="A B", nargs="*", help="what is compared; else the first two there are")
    parser.add_argument("--knob", metavar="KNOB[@PLACE]", default="", help="A and B are two values of this knob")
    parser.add_argument("--rounds", type=_rounds, default=_ROUNDS, metavar="N", help=f"pairs ({_ROUNDS}); at least 6")
    parser.add_argument("--size", type=parse_size, default=GIB, metavar="SIZE", help="memory: walked through (1G)")
    parser.add_argument(
        "--directory", default=_DIRECTORY, metavar="DIR", help=f"cache, scheduler: where ({_DIRECTORY})"
    )
    load = "cache: what is asked for; commit (default) is a write and its flush"
    parser.add_argument("--load", choices=_LOADS, default=_LOADS[0], help=load)
    options.change(parser)
    parser.set_defaults(run=_bench)


def _rounds(text: str) -> int:
    from virtkit.core.errors import UsageError
    from virtkit.host.bench.verdict import FEWEST

    if not (text.isascii() and text.isdecimal() and FEWEST <= int(text) <= 10_000):  # noqa: PLR2004  days
        raise UsageError(
            f"--rounds is {text!r}, expected {FEWEST} to 10000: with fewer chance alone could be that clear"
        )
    return int(text)


def _bench(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.journal import Journal
    from virtkit.core.system import System
    from virtkit.recipes import measuring

    system = System()
    setup = measuring.chosen(args.what, _setup(args), system)
    plan = measuring.loan(args.what, setup, system)
    if args.plan:
        console.plan(plan)
        return options.PLAN_HAS_CHANGES if plan else 0
    if plan and not args.yes and not _agreed(plan, console):
        return NO_VERDICT
    with console.progress() as report:
        found = measuring.measure(
            args.what, setup, args.rounds, system=system, journal=Journal.default(), report=report
        )
    if console.json:
        console.data(found.data())
    else:
        console.lines(_lines(found))
    return 0 if found.verdict.concluded else NO_VERDICT


def _setup(args: argparse.Namespace) -> Setup:
    from virtkit.core.errors import UsageError
    from virtkit.host.bench.trial import Setup
    from virtkit.recipes.measuring import whats

    if args.what not in whats():
        found = f"{args.what!r} is asked for" if args.what else "what to measure is not said"
        raise UsageError(f"bench: {found}, expected one of {', '.join(whats())}", hint="virtkit host bench --help")
    if len(args.sides) not in {0, 2}:
        raise UsageError(f"sides are {' '.join(args.sides)}, expected two, or none for the first two there are")
    if args.knob and not args.sides:
        raise UsageError(f"--knob {args.knob}: two values are missing", hint=f"virtkit host knobs {args.knob}")
    a, b = args.sides or ("", "")
    return Setup(a, b, args.directory, args.size, args.load, args.knob)


def _agreed(plan: Plan, console: Console) -> bool:
    from virtkit.cli.agreement import agreed

    return agreed(plan.title, [*plan.lines(), *plan.notes], console)


def _lines(found: Measured) -> Iterator[str]:
    setup, verdict = found.setup, found.verdict
    what = f"{found.what}, {setup.knob}" if setup.knob else found.what
    if verdict.concluded:
        yield f"✓ {what}: {setup.b} takes {_part(verdict.change)} {setup.a}"
    else:
        yield f"✗ {what}: no verdict between {setup.a} and {setup.b}: the noise is larger than the difference"
    yield f"  95 % sure: {_factor(verdict.low)} to {_factor(verdict.high)}"
    medians = f"{setup.a} {verdict.a:.4g}, {setup.b} {verdict.b:.4g} {found.unit}"
    yield f"  medians of {verdict.pairs} pairs in turns: {medians}"
    if not verdict.concluded:
        yield f"  {_next(found)}"


def _part(change: float) -> str:
    return f"{_factor(change)} as" if change > 1 else f"{_factor(change)} than"


def _factor(change: float) -> str:
    """0.2 -> ``20 % more``; 1.5 -> ``2.5 times as much``."""
    if change > 1:
        return f"{change + 1:.3g} times as much"
    return f"{abs(change) * 100:.2g} % {'more' if change > 0 else 'less'}"


def _next(found: Measured) -> str:
    from virtkit.host.bench.verdict import MOST

    setup, verdict = found.setup, found.verdict
    if verdict.more is None:
        return f"more than {MOST} more rounds would be needed: the sides are too like, or the host is too busy"
    words = [found.what, setup.a, setup.b, *_flags(found.what, setup), "--rounds", str(verdict.pairs + verdict.more)]
    return f"as it looks, {verdict.more} more rounds would tell: virtkit host bench {' '.join(words)}"


def _flags(what: str, setup: Setup) -> Iterator[str]:
    """What was asked for besides, and matters for this."""
    if setup.knob:
        yield f"--knob={setup.knob}"
    if what == "memory" and setup.size != GIB:
        yield f"--size={setup.size // MIB}M"
    if what in {"cache", "scheduler"} and setup.directory != _DIRECTORY:
        yield f"--directory={setup.directory}"
    if what == "cache" and setup.load != _LOADS[0]:
        yield f"--load={setup.load}"
