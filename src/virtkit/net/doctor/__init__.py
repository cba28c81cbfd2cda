"""Why guests on a bridge are mute, slow or half alive, and what mends it. A check is one file in ``checks``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core import plugins
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.net import standing, watching
from virtkit.net.actions import JoinBridge
from virtkit.net.doctor import checks
from virtkit.net.doctor.finding import Check, Finding
from virtkit.net.doctor.scene import Scene
from virtkit.net.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.deadman import Confirm
    from virtkit.core.plan import Action
    from virtkit.net.watching import Watching

__all__ = ["Finding", "examine", "known", "plan_mend"]


def examine(system: System | None = None) -> list[Finding]:
    """What is wrong now, the worst first. Changes nothing."""
    scene = Scene.read(system or System())
    found = (finding for check in _checks().values() for finding in check.find(scene))
    return sorted(found, key=lambda finding: finding.weight)


def known() -> dict[str, str]:
    """The checks by name, and what each asks."""
    return {name: check.title for name, check in _checks().items()}


def _checks() -> dict[str, Check]:
    return plugins.collect(checks, Check, "CHECK")


def plan_mend(
    findings: Sequence[Finding],
    *,
    tests: Sequence[str] = (),
    confirm: Confirm | None = None,
    system: System | None = None,
) -> Plan:
    """All that virtkit can mend of them, each step once.

    Where a card joins its bridge, what works is watched and ``confirm`` asked for, as by the verbs that do the same;
    ``tests`` are ``HOST:PORT`` that must accept connections after it as they do now.
    """
    steps = _once(findings)
    joins = [step for step in steps if isinstance(step, JoinBridge)]
    watched = [_watch(system or System(), step, tests) for step in joins]
    cautions = dict.fromkeys(found.caution for found in findings if found.mend and found.caution)
    actions = (*(each.action for each in watched), *steps, *((confirm,) if joins and confirm else ()))
    return Plan("mend the network", actions, (*cautions, *(note for each in watched for note in each.notes)))


def _once(findings: Sequence[Finding]) -> list[Action]:
    steps: list[Action] = []
    for found in findings:
        steps += (step for step in found.mend if step not in steps)
    return steps


def _watch(system: System, join: JoinBridge, tests: Sequence[str]) -> Watching:
    """Of the port what it holds, which moves; of one that holds nothing, what its bridge holds."""
    with Kernel() as kernel:
        network = kernel.network()
    side = standing.side_of(network, join.port)
    held = standing.side_of(network, join.bridge) if side.empty else side
    return watching.plan(system, network, held, join.bridge, tests, joins=True)
