"""Before an image is changed in place: ``--plan`` shows, ``-y`` skips the question.

These changes are not in the journal: what they overwrite is as large as the image itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.cli.agreement import DECLINED, agreed
from virtkit.cli.options import PLAN_HAS_CHANGES

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.show import Console
    from virtkit.core.plan import Json


class Step(NamedTuple):
    sign: str  # + makes, ~ changes, - removes
    text: str

    def __str__(self) -> str:
        return f"{self.sign} {self.text}"


class Proposal(NamedTuple):
    """What a verb is about to do; no steps: nothing."""

    title: str
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    def data(self) -> dict[str, Json]:
        actions: list[Json] = [{"sign": step.sign, "text": step.text} for step in self.steps]
        return {"title": self.title, "notes": list(self.notes), "actions": actions}


def settle(proposal: Proposal, args: argparse.Namespace, console: Console, *, ask: bool) -> int | None:
    """The exit status to end with; None: go ahead. ``ask`` where something is lost for good."""
    if args.plan:
        _show(proposal, console)
        return PLAN_HAS_CHANGES if proposal.steps else 0
    if not ask or args.yes or not proposal.steps:
        return None
    lines = [*map(str, proposal.steps), *(f"note: {note}" for note in proposal.notes)]
    return None if agreed(proposal.title, lines, console) else DECLINED


def _show(proposal: Proposal, console: Console) -> None:
    if console.json:
        console.data(proposal.data())
        return
    console.line(f"{proposal.title}:" if proposal.steps else f"{proposal.title}: nothing to change")
    for step in proposal.steps:
        console.line(f"  {step}")
    for note in proposal.notes:
        console.line(f"  note: {note}")
