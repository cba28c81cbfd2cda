"""``virtkit net doctor``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.net.doctor import Finding

ALL = "all"
FOUND = 1  # exit status: there is something to mend


def build(parser: Arguments) -> None:
    parser.description = "exit status 0: nothing found; 1: something found"
    parser.add_argument(
        "--mend", metavar="CHECK", nargs="?", const=ALL, help="do what can be done, or what this check proposes"
    )
    options.checks(parser)
    options.change(parser)
    options.confirmation(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, console: Console) -> int:
    from virtkit.net import doctor

    if args.mend:
        _check_name(args.mend, doctor.known())
    findings = doctor.examine()
    if args.mend:
        return _mend([found for found in findings if args.mend in {ALL, found.check}], args, console)
    if console.json:
        console.data([found.data() for found in findings])
    else:
        _show(findings, console)
    return FOUND if findings else 0


def _show(findings: list[Finding], console: Console) -> None:
    for found in findings:
        _tell(found, console)
    if not findings:
        console.line("✓ nothing found: guests on this host's bridges should get through")
    if console.verbose:
        from virtkit.net import doctor

        console.lines(f"asked: {title}  [{name}]" for name, title in doctor.known().items())
    if any(found.mend for found in findings):
        console.line(
            "to mend what is marked ~ or +: virtkit net doctor --mend (a plan first; virtkit undo takes it back)"
        )


def _check_name(name: str, known: dict[str, str]) -> None:
    from virtkit.core.errors import UsageError

    if name != ALL and name not in known:
        raise UsageError(f"--mend: check is {name}, expected one of: {', '.join(known)}", hint="virtkit net doctor")


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
    from virtkit.cli.confirm import wanted
    from virtkit.net import doctor

    plan = doctor.plan_mend(findings, tests=args.check, confirm=wanted(args))
    status = carry_out(plan, args, console)
    if rest := sorted({found.check for found in findings if not found.mend}):
        console.note(f"not by virtkit: {', '.join(rest)}; what to do yourself: virtkit net doctor")
    return status if plan or not findings else FOUND
