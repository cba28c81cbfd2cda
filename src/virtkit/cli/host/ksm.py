"""``virtkit host ksm``: like pages of machines are kept once; what that gives, and what it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.host.words import ABSENT
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.host.memory import Ksm
    from virtkit.host.merging import Gain, Merging


def build(parser: Arguments) -> None:
    about = "on: merge, at the kernel's own pace; off: take all apart; status (default): who gains"
    parser.add_argument(
        "wish", metavar="on|off|status", nargs="?", choices=("on", "off", "status"), default="status", help=about
    )
    parser.add_argument("--runtime", action="store_true", help="now only: a reboot takes it away")
    options.change(parser)
    parser.set_defaults(run=_ksm)


def _ksm(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host
    from virtkit.cli.change import carry_out
    from virtkit.core.journal import Journal
    from virtkit.core.system import System

    if args.wish != "status":
        plan = host.ksm(System(), on=args.wish == "on", persistent=not args.runtime)
        return carry_out(plan, args, console)
    found = host.ksm_status(System(), Journal.default())
    if console.json:
        console.data(found.data())
        return 0
    console.lines(_lines(found))
    if found.gains:
        console.table(("MACHINE", "TAKES", "IN HUGE PAGES", "MERGED", "SAVED"), [_row(gain) for gain in found.gains])
    return 0


def _lines(found: Merging) -> Iterator[str]:
    if found.ksm is None:
        yield f"KSM: {ABSENT}: this kernel has none"
        return
    yield f"KSM: {found.ksm.state}{_pace(found.ksm)}; saves {_signed(found.ksm.saved)} in all, less its own records"
    if found.tuner:
        yield f"  {found.tuner} runs and sets it, too: systemctl disable --now {found.tuner}"
    if not found.gains:
        yield "  no machine runs"


def _pace(ksm: Ksm) -> str:
    """Who says how fast it goes, while it goes."""
    if ksm.run != 1 or ksm.advisor is None:
        return ""
    return ", at a fixed pace" if ksm.advisor.value == "none" else f", at the pace of its advisor ({ksm.advisor.value})"


def _row(gain: Gain) -> tuple[str, ...]:
    before = gain.before
    return (
        gain.name,
        _since(gain.now.memory, before.memory if before else None),
        _since(gain.now.huge, before.huge if before else None),
        _signed(gain.merged),
        _signed(gain.saved),
    )


def _since(now: int | None, before: int | None) -> str:
    """``145 MiB (206 MiB before)``."""
    return _signed(now) + (f" ({_signed(before)} before)" if before is not None and before != now else "")


def _signed(size: int | None) -> str:
    if size is None:
        return ABSENT
    return format_size(size) if size >= 0 else f"-{format_size(-size)}"
