"""Why guests on a bridge are mute, slow or half alive, and what mends it. A check is one file in ``checks``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core import plugins
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.net.doctor import checks
from virtkit.net.doctor.finding import Check, Finding
from virtkit.net.doctor.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.plan import Action

__all__ = ["Finding", "examine", "plan_mend"]


def examine(system: System | None = None) -> list[Finding]:
    """What is wrong now, the worst first. Changes nothing."""
    scene = Scene.read(system or System())
    known = plugins.collect(checks, Check, "CHECK").values()
    return sorted((found for check in known for found in check.find(scene)), key=lambda found: found.weight)


def plan_mend(findings: Sequence[Finding]) -> Plan:
    """All that virtkit can mend of them, each step once."""
    steps: list[Action] = []
    for found in findings:
        steps += (step for step in found.mend if step not in steps)
    cautions = dict.fromkeys(found.caution for found in findings if found.mend and found.caution)
    return Plan("mend the network", tuple(steps), tuple(cautions))
