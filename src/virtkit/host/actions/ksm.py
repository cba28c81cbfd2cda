"""KSM is started, stopped, or taken apart: a write that may need gigabytes and take minutes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import NotSupportedError, VerifyError, VirtkitError
from virtkit.core.progress import Advanced, Finished, Started, silent
from virtkit.host.actions.knobs import SetKnob
from virtkit.host.kernel import Kernel
from virtkit.host.merged import KSM, lack_of_room, merged_pages, taken
from virtkit.host.registry import setting

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

TAKE_APART = "2"
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class RunKsm(SetKnob):
    """``ksm.run``. State besides: how many pages are merged, and what each machine takes, for before and after."""

    kind: ClassVar[str] = "host.run_ksm"

    def capture(self, system: System) -> Json:
        kernel, state = Kernel(system), super().capture(system)
        if not isinstance(state, dict):
            return None
        machines: dict[str, Json] = {str(pid): list(found) for pid, found in taken(kernel).items()}
        return {**state, "merged": merged_pages(kernel), "machines": machines}

    def apply(self, system: System, report: Sink) -> None:
        if self.value == TAKE_APART:
            _take_apart(system, report)
        else:
            super().apply(system, report)

    def verify(self, system: System) -> None:
        super().verify(system)
        left = merged_pages(Kernel(system))
        if self.value == TAKE_APART and left:
            raise VerifyError(self.describe(), f"{left} pages are merged still, expected none")

    def undo(self, system: System, before: Json) -> None:
        """What was not merged before is taken apart, and ksmd's records freed; what was, it finds again by itself."""
        if not isinstance(before, dict):
            return
        old, kernel = str(before["value"]), Kernel(system)
        if old != "1" and not before["merged"]:
            _take_apart(system, silent)
        if setting(self.name).read(kernel) != old:
            system.write(f"{KSM}/run", old)


def _take_apart(system: System, report: Sink) -> None:
    """The kernel does it within write(2), and stops half-way where memory ends: so room is looked for before."""
    kernel, step = Kernel(system), "take merged pages apart"
    total = merged_pages(kernel)
    if why := lack_of_room(kernel):
        raise NotSupportedError(f"ksm.run: {why}", hint="virtkit vm list, and stop a machine first")
    failures: list[VirtkitError] = []
    writer = Thread(target=_write, args=(system, failures), daemon=True)
    report(Started(step, total, unit="pages"))
    writer.start()
    while writer.is_alive():
        report(Advanced(step, max(total - merged_pages(kernel), 0)))
        writer.join(_POLL_SECONDS)
    _wait_for_ksmd(kernel)
    report(Finished(step))
    if failures:
        raise failures[0]


def _write(system: System, failures: list[VirtkitError]) -> None:
    try:
        system.write(f"{KSM}/run", TAKE_APART)
    except VirtkitError as error:
        failures.append(error)


def _wait_for_ksmd(kernel: Kernel) -> None:
    """It forgets pages of machines that have ended when it comes by."""
    end = time.monotonic() + 1
    while merged_pages(kernel) and time.monotonic() < end:
        time.sleep(_POLL_SECONDS / 10)
