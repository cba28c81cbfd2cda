"""The watch of a plan, at work in the lab's host."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virtkit.core.system import System
from virtkit.net import plan_bridge
from virtkit.net.actions import Watch

if TYPE_CHECKING:
    from netns.lab import Lab
    from virtkit.core.plan import Json, Plan


LOOKS, LONGEST = 4, 1.2  # seconds


class Watcher:
    def __init__(self, lab: Lab, plan: Plan) -> None:
        assert isinstance(plan.actions[0], Watch)
        self._lab, self._watch, self._system = lab, plan.actions[0], System(lab.root)
        self._before: Json = lab.call(lambda: self._watch.capture(self._system))

    def watched(self) -> list[str]:
        return self._watch.watched(self._before)

    def lost(self) -> list[str]:
        """It takes a second at most, as it promises: a look that took longer is had again, for the host may be busy."""
        for _ in range(LOOKS):
            started = time.monotonic()
            lost = self._lab.call(lambda: self._watch.lost(self._system, self._before))
            if time.monotonic() - started < LONGEST:
                return lost
        raise AssertionError(f"{LOOKS} looks in a row took more than {LONGEST} s each")


def planned(lab: Lab, *checks: str) -> Plan:
    return lab.call(lambda: plan_bridge("br0", "eth0", checks=checks, system=System(lab.root)))
