"""Every knob that this kernel lets us set: set to another value, read back where it counts, put back.

By hand, as root: ``PYTHONPATH=src:tests python3 -m bench.host.knobs [KNOB ...]``. Nothing is left changed; what is not
as before is said in the last line, and makes the exit status 1.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.cpuset import format_list, parse_list
from virtkit.core.errors import UsageError, VirtkitError
from virtkit.core.progress import silent
from virtkit.core.system import System
from virtkit.host.actions import SetKnob
from virtkit.host.kernel import Kernel
from virtkit.host.legal import Range
from virtkit.host.registry import knobs, met, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.knob import Setting


class Trial(NamedTuple):
    setting: Setting
    was: str
    tried: str
    outcome: str  # "changed and put back", or what was in the way

    @property
    def line(self) -> str:
        return f"{self.setting.name:40} {self.was:>12} -> {self.tried:12} {self.outcome}"


DONE = "changed, read back, put back"


def another(setting: Setting, kernel: Kernel) -> str:
    """A legal value near the one that is set; empty where there is none."""
    now = setting.read(kernel) or ""
    for value in _candidates(setting, kernel, now):
        try:
            if setting.accept(kernel, value) not in {now, None}:
                return setting.accept(kernel, value)
        except UsageError:
            continue
    return ""


def _candidates(setting: Setting, kernel: Kernel, now: str) -> Iterator[str]:
    legal = setting.knob.legal
    if isinstance(legal, Range) and now.lstrip("-").isdecimal():
        yield from (str(int(now) - 4), str(int(now) + 1), str(legal.low))  # 4: some are kept in whole pages
    elif setting.legal(kernel).startswith("CPUs"):
        cpus = sorted(parse_list(now or "0"))
        yield format_list(cpus[:-1] or cpus)
    else:
        yield from setting.legal(kernel).split(" | ")


def attempt(system: System, setting: Setting) -> Trial:
    kernel = Kernel(system)
    was, tried = setting.read(kernel) or "", another(setting, kernel)
    return Trial(setting, was, tried, _outcome(system, setting, tried) if tried else "no other value here")


def _outcome(system: System, setting: Setting, tried: str) -> str:
    kernel, action = Kernel(system), SetKnob(setting.name, tried)
    if not setting.writable(kernel):
        return "read-only while the kernel runs"
    refusal = setting.knob.refusal(kernel, setting.place, tried) if setting.knob.refusal else ""
    if refusal or not met(setting, kernel):
        return f"not tried: {refusal or f'needs {setting.knob.needs}'}"
    before = action.capture(system)
    try:
        action.apply(system, silent)
        action.verify(system)
        outcome = DONE
    except VirtkitError as error:
        outcome = f"refused: {error.message}"
    action.undo(system, before)
    return outcome if action.capture(system) == before else f"NOT PUT BACK after {outcome}"


def state(system: System) -> dict[str, str | None]:
    kernel = Kernel(system)
    return {setting.name: setting.read(kernel) for setting in settings(kernel)}


def main(only: list[str]) -> int:
    system = System()
    before = state(system)
    here = list(settings(Kernel(system)))
    trials = [attempt(system, setting) for setting in here if not only or setting.knob.name in only]
    done = {trial.setting.knob.name for trial in trials if trial.outcome == DONE}
    absent = sorted(knobs().keys() - {setting.knob.name for setting in here})
    left = {name: value for name, value in state(system).items() if before[name] != value}
    summary = f"{len(done)} of {len(knobs())} knobs changed, read back and put back; not here: {', '.join(absent)}"
    end = f"left as it was: {f'NO: {left}' if left else 'yes'}"
    sys.stdout.writelines(f"{line}\n" for line in [*(trial.line for trial in trials), summary, end])
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
