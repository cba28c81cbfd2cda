"""``virtkit demo``: the whole road, with evidence; ``--down`` takes it all back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.journal import Journal
    from virtkit.core.system import System


def build(parser: Arguments, _verb: str) -> None:
    options.output(parser)
    parser.add_argument("--down", action="store_true", help="take back all that the demo made")
    parser.set_defaults(run=demo)


def demo(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.errors import UsageError
    from virtkit.core.journal import Journal
    from virtkit.core.system import System, is_root

    if not is_root():
        raise UsageError("demo: makes a bridge and a namespace, which needs root", hint="sudo virtkit demo")
    return (_down if args.down else _up)(console, System(), Journal.default())


def _up(console: Console, system: System, journal: Journal) -> int:
    from virtkit.recipes import demo as recipe

    began = time.monotonic()
    console.note("an image of another product becomes a running, bridged, pinned machine; nothing of this host's own")
    console.note("network is touched, and virtkit demo --down takes it all back")
    with console.progress() as report:
        done = recipe.up(system, journal, report)
    failed = [claim for claim in done.claims if not claim.holds]
    if console.json:
        console.data({"claims": [claim._asdict() for claim in done.claims], "seconds": time.monotonic() - began})
        return 1 if failed else 0
    seconds = f"{time.monotonic() - began:.0f} s"
    console.line(
        f"✗ {len(failed)} of {len(done.claims)} claims do not hold" if failed else f"✓ the demo is up ({seconds})"
    )
    rows = [("✓" if claim.holds else "✗", claim.what, claim.evidence) for claim in done.claims]
    console.table(("", "CLAIM", "EVIDENCE"), rows)
    console.line(
        f"its file: {recipe.FILE}   its console: virtkit vm console {recipe.NAME}   away with it: virtkit demo --down"
    )
    return 1 if failed else 0


def _down(console: Console, system: System, journal: Journal) -> int:
    from virtkit.recipes import demo as recipe

    with console.progress() as report:
        done = recipe.down(system, journal, report)
    back = sum(len(change.back) for change in done)
    if console.json:
        console.data({"back": [text for change in done for text in change.back]})
    else:
        console.line(f"✓ demo: {back} steps put back" if back else "✓ demo: nothing is there to take back")
    return 0
