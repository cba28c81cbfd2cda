"""Every knob that this kernel lets us set goes the whole way: plan, change, read back, verify, plan again, undo.

By hand, as root: ``PYTHONPATH=src:tests python3 -m bench.host.knobs [--kept] [--killed] [KNOB ...]``. ``--kept``: over
restarts, too, so that files are written and taken away. ``--killed``: all at once in another process, killed in the
middle of every tenth write, and undone from the journal. Nothing is left changed; what is not as before is said in the
last line, and makes the exit status 1.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from virtkit import host
from virtkit.core import engine
from virtkit.core.cpuset import format_list, parse_list
from virtkit.core.errors import UsageError, VirtkitError
from virtkit.core.journal import Journal
from virtkit.core.system import System
from virtkit.host.kernel import Kernel
from virtkit.host.legal import Range
from virtkit.host.registry import knobs, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.knob import Setting

DONE = "changed, read back, verified, second plan empty, undone"
FOLDERS = ("/etc/sysctl.d", "/etc/tmpfiles.d", "/etc/udev", "/etc/modprobe.d", "/etc/default", "/etc/systemd/system")


class Trial(NamedTuple):
    setting: Setting
    was: str
    tried: str
    outcome: str  # DONE, or what was in the way

    @property
    def line(self) -> str:
        return f"{self.setting.name:40} {self.was:>12} -> {self.tried:12} {self.outcome}"


@dataclass(frozen=True)
class Dying(System):
    """The process is killed behind write number ``at``, before anybody could note that it was done."""

    at: int = 0
    written: list[str] = field(default_factory=list, compare=False)

    def write(self, absolute: str, text: str) -> None:
        super().write(absolute, text)
        self.written.append(absolute)
        if len(self.written) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def another(setting: Setting, kernel: Kernel) -> str:
    """A legal value near the one that is set; empty where there is none."""
    now = setting.read(kernel) or ""
    for value in _candidates(setting, kernel, now):
        try:
            if setting.accept(kernel, value) != now:
                return setting.accept(kernel, value)
        except UsageError:
            continue
    return ""


def _candidates(setting: Setting, kernel: Kernel, now: str) -> Iterator[str]:
    legal = setting.knob.legal
    if isinstance(legal, Range) and now.lstrip("-").isdecimal():
        if legal.unit == "bytes":
            yield "256M"
        yield from (str(int(now) - 4), str(int(now) + 1), str(legal.low))  # 4: some are kept in whole pages
    elif setting.legal(kernel).startswith("CPUs"):
        cpus = sorted(parse_list(now or "0"))
        yield format_list(cpus[:-1] or cpus)
    else:
        yield from setting.legal(kernel).split(" | ")


def attempt(system: System, setting: Setting, journal: Journal, *, kept: bool = False) -> Trial:
    kernel = Kernel(system)
    was, tried = setting.read(kernel) or "", another(setting, kernel)
    outcome = _outcome(system, {setting.name: tried}, journal, kept=kept) if tried else "no other value here"
    return Trial(setting, was, tried, outcome)


def _outcome(system: System, wished: dict[str, str], journal: Journal, *, kept: bool) -> str:
    try:
        number = engine.run(host.set_knobs(system, wished, persistent=kept), system, journal)
    except VirtkitError as error:
        return f"not taken: {error.message.splitlines()[0]}"
    drift = [line for verdict in host.verify(system, journal) for line in verdict.drift]
    again = host.set_knobs(system, wished, persistent=kept).lines()
    engine.undo(journal, number, system)
    return DONE if not (drift or again) else f"DRIFT {drift} SECOND PLAN {again}"


def tune(system: System, journal: Journal, wished: dict[str, str]) -> int:
    return engine.run(host.set_knobs(system, wished, persistent=False), system, journal)


def killed(trials: list[Trial], journal: Journal) -> Iterator[str]:
    """All that can be set, in one change, cut off after each tenth write."""
    kernel = Kernel(System())
    able = [trial for trial in trials if trial.outcome == DONE and trial.setting.writable(kernel)]
    taken = [trial for trial in able if not trial.setting.knob.rival]
    wished = {trial.setting.name: trial.tried for trial in taken}
    words = [f"{name}={value}" for name, value in wished.items() if not _needs_another(name, wished)]
    before = state(System())
    for at in range(1, len(words), 10):
        command = [sys.executable, "-m", "bench.host.knobs", "--die", str(at), str(journal.directory), *words]
        status = subprocess.run(command, check=False).returncode
        other = len(_unlike(before))
        back = engine.undo(journal, engine.newest(journal).number, System()).back
        left = _unlike(before) or "nothing"
        yield f"killed ({status}) after {at} writes: {other} settings other; {len(back)} steps put back; left: {left}"


def _unlike(before: dict[str, str | None]) -> dict[str, str | None]:
    return {name: value for name, value in state(System()).items() if before[name] != value}


def _needs_another(name: str, wished: dict[str, str]) -> bool:
    """What the advisor of KSM forbids once it is on."""
    needs = knobs()[name.partition("@")[0]].needs
    return bool(needs and wished.get(needs[0], needs[1]) != needs[1])


def state(system: System) -> dict[str, str | None]:
    kernel = Kernel(system)
    return {setting.name: setting.read(kernel) for setting in settings(kernel)}


def files() -> dict[str, str]:
    every = (path for folder in FOLDERS for path in sorted(Path(folder).rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in every}


def main(words: list[str]) -> int:
    if words[:1] == ["--die"]:
        return tune(Dying(at=int(words[1])), Journal(Path(words[2])), dict(word.split("=", 1) for word in words[3:]))
    only = [word for word in words if not word.startswith("--")]
    system, before, stored = System(), state(System()), files()
    here = [one for one in settings(Kernel(system)) if not only or one.knob.name in only]
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        trials = []
        for setting in here:
            trials.append(attempt(system, setting, journal, kept="--kept" in words))
            sys.stdout.write(f"{trials[-1].line}\n")
            sys.stdout.flush()
        for line in killed(trials, journal) if "--killed" in words else ():
            sys.stdout.write(f"{line}\n")
    return _tell(trials, before, stored)


def _tell(trials: list[Trial], before: dict[str, str | None], stored: dict[str, str]) -> int:
    done = [trial for trial in trials if trial.outcome == DONE]
    names = {trial.setting.knob.name for trial in done}
    absent = sorted(knobs().keys() - {name.partition("@")[0] for name in before})
    left = _unlike(before)
    changed = sorted({path for path, _ in set(stored.items()) ^ set(files().items())})
    sys.stdout.writelines(
        [
            f"{len(names)} of {len(knobs())} knobs, {len(done)} of {len(trials)} settings: {DONE}\n",
            f"not here: {', '.join(absent)}\n",
            f"left as it was: {f'NO: {left} {changed}' if left or changed else 'yes, values and files'}\n",
        ]
    )
    return 1 if left or changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
