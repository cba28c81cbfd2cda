"""``--plan`` of verbs that write images: what would be done, line by line. Nothing of it goes to the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.cli.show import Console


def show(console: Console, title: str, steps: Sequence[tuple[str, str]]) -> int:
    """``steps``: (sign, text), signs as in ``core.plan``; returns the exit status."""
    if console.json:
        console.data({"title": title, "notes": [], "actions": [{"sign": sign, "text": text} for sign, text in steps]})
    else:
        console.line(f"{title}:" if steps else f"{title}: nothing to change")
        for sign, text in steps:
            console.line(f"  {sign} {text}")
    return options.PLAN_HAS_CHANGES if steps else 0
