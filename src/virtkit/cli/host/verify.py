"""``virtkit host verify``: run time, persistent and wanted side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.host.drift import Verdict

DRIFT = 1  # exit status


def build(parser: Arguments) -> None:
    options.output(parser)
    parser.set_defaults(run=_verify)


def _verify(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host
    from virtkit.core.journal import Journal
    from virtkit.core.system import System

    verdicts = host.verify(System(), Journal.default())
    drifted = [verdict for verdict in verdicts if verdict.drift]
    if console.json:
        console.data({"drift": bool(drifted), "knobs": [verdict.data() for verdict in verdicts]})
    elif not verdicts:
        console.line("✓ no knob is set by virtkit")
    else:
        console.table(("KNOB", "RUN TIME", "PERSISTENT", "WANTED", ""), [_line(verdict) for verdict in verdicts])
        _tell(drifted, console)
    return DRIFT if drifted else 0


def _line(verdict: Verdict) -> tuple[str, ...]:
    kept = f"{verdict.kept.value} ({verdict.kept.where})" if verdict.kept else "-"
    now, at_boot, _ = verdict.wanted
    wanted = now if now == at_boot else f"{now or '-'}, at boot {at_boot or '-'}"
    judged = "drift" if verdict.drift else verdict.note or "as wanted"
    return verdict.name, verdict.now or "-", kept, wanted or "-", judged


def _tell(drifted: list[Verdict], console: Console) -> None:
    for verdict in drifted:
        console.lines(f"✗ {verdict.name}: {drift}" for drift in verdict.drift)
    if drifted:
        wishes = " ".join(f"{verdict.name}={verdict.wanted.at_boot or verdict.wanted.now}" for verdict in drifted)
        console.line(f"  to have it again: virtkit host set {wishes}")
    else:
        console.line("✓ all is as wanted")
