"""``virtkit host doctor``: what to set otherwise, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.host import purpose, source

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.errors import VirtkitError
    from virtkit.recipes.advice.diagnosis import Diagnosis

ADVICE = 1  # exit status: something is to be done
_SECTIONS = (  # sign, title, what it needs
    ("~", "", ("nothing",)),
    ("!", "counts after a reboot, or when machines start again", ("VM restart", "reboot")),
    ("?", "for you to decide: virtkit does none of it unasked", ("a decision",)),
)


def build(parser: Arguments) -> None:
    parser.description = "exit status 0: tuned; 1: there is advice; 2: wrong usage"
    purpose.add(parser)
    source.add(parser)
    parser.add_argument(
        "--why", metavar="KNOB", help="all about one knob: what it does, why it is to change, who says so"
    )
    options.output(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, console: Console) -> int:
    from virtkit.recipes.advice.diagnosis import diagnose

    with source.host_of(args) as system:
        found = diagnose(purpose.asked(args), system, recorded=args.recorded is not None)
    if not found.advice.case.rows:
        raise _nothing(args.recorded)
    if console.json:
        console.data(found.data())
    elif args.why:
        from virtkit.cli.host.reasons import story

        console.lines(story(args.why, found.advice))
    else:
        console.lines(_told(found, args, verbose=console.verbose))
    return 0 if found.tuned else ADVICE


def _nothing(recorded: str | None) -> VirtkitError:
    from virtkit.core.errors import UsageError

    subject = f"--from {recorded}" if recorded else "this host"
    return UsageError(
        f"{subject}: shows no knob, expected some of /proc/sys and /sys", hint="virtkit host facts --save FILE.json"
    )


def _told(found: Diagnosis, args: argparse.Namespace, *, verbose: bool) -> Iterator[str]:
    from virtkit.cli.host import table
    from virtkit.host.advice.finding import Need

    advice = found.advice
    yield from table.indented(_result(found), "")
    yield from (line for note in found.notes for line in table.indented(note, "note: "))
    for sign, title, needs in _SECTIONS:
        yield from table.section(title, sign, advice.needing(*map(Need, needs)), verbose=verbose)
    yield from table.machines(found.machines, verbose=verbose)
    yield from table.weighed(advice.weighed, verbose=verbose)
    yield from _next(found, args)


def _result(found: Diagnosis) -> str:
    from virtkit.cli.host.words import count

    case = found.advice.case
    purposes = ", ".join(case.profiles) if case.chosen else "any"
    whose = f"{purposes} machines" + (" of tenants that do not trust each other" if case.untrusted else "")
    settings = f"{count(len(case.rows), 'setting')} looked at"
    knobs = len({each.row.setting.knob.name for each in found.advice.recommendations})
    wishes = len(found.machines)
    if not (knobs or wishes):
        return f"✓ this host suits {whose} ({settings})"
    sign, more = "✓" if found.tuned else "✗", f" and {wishes} of machines" if wishes else ""
    return f"{sign} for {whose}: advice on {count(knobs, 'knob')}{more} ({settings})"


def _next(found: Diagnosis, args: argparse.Namespace) -> Iterator[str]:
    """What to type."""
    from virtkit.host.advice.finding import Need

    advice, purpose_ = found.advice, purpose.words(args)
    if not advice.case.chosen:
        yield "\nthis is what suits every profile; for more, say what the host is for:"
        yield "  virtkit host doctor --profile database     (web, realtime, desktop, build)"
    if advice.needing(Need.NOTHING):
        there = "" if args.recorded is None else ", there"
        yield f"\nto do what is marked ~{there} (a plan first; virtkit undo takes it back):"
        yield f"  virtkit host tune{purpose_}"
    if any(each.wish.edit and not each.wish.by_hand for each in found.machines):
        yield "\nto write what is marked ! into machines' definitions as well:"
        yield f"  virtkit host tune{purpose_} --definitions"
    if advice.recommendations:
        yield f"more about one: virtkit host doctor{purpose_} --why {advice.recommendations[0].row.setting.knob.name}"
