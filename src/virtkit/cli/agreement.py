"""Asking before something is changed or lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from virtkit.cli.show import Console

DECLINED = 1  # exit status: the answer was no


def agreed(title: str, lines: list[str], console: Console) -> bool:
    """Show what will be done and ask; UsageError if there is nobody to ask."""
    for line in (f"{title}:", *(f"  {line}" for line in lines)):
        console.note(line)
    if not console.can_ask():
        raise UsageError(
            "no terminal to ask on, and nothing was changed", hint="add -y to go ahead, --plan to look only"
        )
    if console.ask("Go ahead?"):
        return True
    console.note("nothing was changed")
    return False
