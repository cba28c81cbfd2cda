"""A knob of the running kernel is set, read back where it counts, and put back as its own rules want it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action
from virtkit.host.kernel import Kernel
from virtkit.host.registry import coupled, rival, setting

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.host.knob import Setting

_SETTLE_SECONDS = 1.0  # most is done when write(2) returns
_IDLE_SECONDS = 0.1  # what does not come in that time may not come for days
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class SetKnob(Action):
    """State: ``value``, the rival's value, and those of the knobs that the kernel sets anew with this one."""

    kind: ClassVar[str] = "host.set_knob"
    needs_root: ClassVar[bool] = True
    volatile: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = True
    name: str  # as registry.setting takes it
    value: str
    was: str = ""  # for the plan's line

    def describe(self) -> str:
        value = self.value or "none"
        return f"{self.name}: {self.was} -> {value}" if self.was else f"{self.name}: {value}"

    def capture(self, system: System) -> Json:
        kernel, here = Kernel(system), setting(self.name)
        value = here.read(kernel)
        if value is None:
            return None
        other, resets = coupled(here, kernel)
        state: dict[str, Json] = {"value": value}
        if other:
            state["rival"] = other.read(kernel)
        if resets:
            state["resets"] = {other.name: other.read(kernel) for other in resets}
        return state

    def fingerprint(self, state: Json) -> Json:
        """Without what the kernel sets anew: who tunes that afterwards has not touched this."""
        return {"value": state["value"], "rival": state.get("rival")} if isinstance(state, dict) else None

    def difference(self, left: Json, now: Json, system: System) -> str:
        if not (isinstance(left, dict) and isinstance(now, dict)):
            return ""
        return f"{self.name} is {now['value']}, and was left at {left['value']}"

    def apply(self, system: System, report: Sink) -> None:
        kernel, here = Kernel(system), setting(self.name)
        if here.read(kernel) != self.value:
            _write(here, self.value, kernel)

    def verify(self, system: System) -> None:
        """What waits for an event that does not come (an interrupt of an idle device) is set, and waits on."""
        kernel, here = Kernel(system), setting(self.name)
        begun, came = time.monotonic(), _came(here, kernel)
        while not here.reached(kernel, self.value):
            waited = time.monotonic() - begun
            if waited > _IDLE_SECONDS and came is not None and came == _came(here, kernel) and self._is_set(kernel):
                return
            if waited > _SETTLE_SECONDS:
                found = here.counts(kernel)
                raise VerifyError(self.describe(), f"the kernel took it and says {found}, expected {self.value}")
            time.sleep(_POLL_SECONDS)

    def _is_set(self, kernel: Kernel) -> bool:
        return setting(self.name).read(kernel) == self.value

    def undo(self, system: System, before: Json) -> None:
        """A rival comes back by the one of the two that was not 0: the kernel refuses to be told the other."""
        if not isinstance(before, dict):
            return
        kernel, here = Kernel(system), setting(self.name)
        old, instead = str(before["value"]), before.get("rival")
        if instead not in {None, "0"} and old == "0":
            _write(rival(here), str(instead), kernel)
        elif here.read(kernel) != old:
            _write(here, old, kernel)
        resets = before.get("resets")
        for name, wanted in resets.items() if isinstance(resets, dict) else ():
            other = setting(name)
            if other.read(kernel) not in {None, wanted}:
                _write(other, str(wanted), kernel)


def _came(here: Setting, kernel: Kernel) -> int | None:
    return here.knob.counter(kernel, here.place) if here.knob.counter else None


def _write(here: Setting, value: str, kernel: Kernel) -> None:
    kernel.system.write(here.file, here.knob.legal.spell(value))
