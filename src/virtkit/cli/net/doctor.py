"""``virtkit net doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.net.doctor import Finding

FOUND = 1  # exit status: there is something to mend


def build(parser: Arguments) -> None:
    parser.description = "exit status 0: nothing found; 1: something found"
    parser.add_argument(
        "--mend", metavar="CHECK", nargs="?", const="all", help="do what can be done, or what this check proposes"
    )
    options.change(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, console: Console) -> int:
    from virtkit.net import doctor

    findings = doctor.examine()
    if args.mend:
        return _mend([found for found in findings if args.mend in {"all", found.check}], args, console)
    if console.json:
        console.data([found.data() for found in findings])
    elif not findings:
        console.line("✓ nothing found: guests on this host's bridges should get through")
    else:
        for found in findings:
            _tell(found, console)
        if any(found.mend for found in findings):
            console.line(
                "to mend what is marked ~: virtkit net doctor --mend (a plan first; virtkit undo takes it back)"
            )
    return FOUND if findings else 0


def _tell(found: Finding, console: Console) -> None:
    console.line(f"✗ {found.harm.value}: {found.link}: {found.seen}  [{found.check}]")
    console.line(f"    {found.why}")
    for action in found.mend:
        console.line(f"    {action.sign} {action.describe()}")
    if found.advice:
        console.line(f"    {found.advice}")
    console.line()


def _mend(findings: list[Finding], args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.net import doctor

    return carry_out(doctor.plan_mend(findings), args, console)
