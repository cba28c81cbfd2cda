"""Every knob that this kernel lets us set goes the whole way: plan, change, read back, verify, plan again, undo.

By hand, as root: ``PYTHONPATH=src:tests python3 -m bench.host.knobs [--kept] [--killed] [--booted] [KNOB ...]``.
``--kept``: over restarts, too, so that files are written and taken away. ``--killed``: all at once in another process,
killed in the middle of every tenth write, and undone from the journal. ``--booted``: all at once into the files; then
systemd's own programs read those, as at boot, and what they set is compared with what was wished. Nothing is left
changed; what is not as before is said in the last line, and makes the exit status 1.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
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
from virtkit.host.knob import Scope
from virtkit.host.legal import Range
from virtkit.host.registry import knobs, setting, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.knob import Setting

DONE = "changed, read back, verified, second plan empty, undone"
READERS = (
    (["/usr/lib/systemd/systemd-sysctl"], "/etc/sysctl.d"),
    (["systemd-tmpfiles", "--create"], "/etc/tmpfiles.d"),
)
DROPPED = ("vm.dirty_ratio", "vm.dirty_background_ratio", "vm.overcommit_kbytes")  # their rivals are set
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
    words = [f"{name}={value}" for name, value in together(trials).items()]
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


def together(trials: list[Trial]) -> dict[str, str]:
    """What can be set in one change: of rivals one, and nothing that was tried under another scheduler or advisor."""
    kernel = Kernel(System())
    able = [trial for trial in trials if trial.outcome == DONE and trial.setting.writable(kernel)]
    after = {name for trial in able for name in trial.setting.knob.resets}
    taken = [trial for trial in able if trial.setting.knob.name not in {*after, *DROPPED}]
    return {trial.setting.name: trial.tried for trial in taken}


def booted(trials: list[Trial], journal: Journal) -> Iterator[str]:
    """First all is set, and set as it was: so the journal can take back in the end what the boot set."""
    from unittest import mock  # a guest's small Python has none

    system, before = System(), state(System())
    wished = {name: value for name, value in together(trials).items() if setting(name).knob.scope is not Scope.IRQ}
    tune(system, journal, wished)
    tune(system, journal, dict(_way_back(name, before) for name in wished))
    engine.run(host.set_knobs(system, wished, run_time=False), system, journal)
    for command, folder in READERS:
        subprocess.run([*command, *sorted(map(str, Path(folder).glob("60-virtkit-*")))], check=True)
    after = state(system)
    missed = {name: after[name] for name, value in wished.items() if after[name] != value}
    with mock.patch("virtkit.core.change.boot_id", return_value="the next"):
        drift = [f"{verdict.name}: {verdict.drift}" for verdict in host.verify(system, journal) if verdict.drift]
    yield f"booted: {len(wished) - len(missed)} of {len(wished)} settings as wished; not: {missed}; drift: {drift}"


def _way_back(name: str, before: dict[str, str | None]) -> tuple[str, str]:
    """Of rivals the one that was not 0."""
    rival = setting(name).knob.rival
    way = rival if rival and before[name] == "0" else name
    return way, before[way] or ""


def state(system: System) -> dict[str, str | None]:
    kernel = Kernel(system)
    return {setting.name: setting.read(kernel) for setting in settings(kernel)}


@contextmanager
def taken_back(journal: Journal) -> Iterator[Journal]:
    """Whatever happens, and whoever else set it since: nothing of ours stays."""
    try:
        yield journal
    finally:
        for change in reversed(journal.changes()):
            engine.undo(journal, change.number, System(), force=True)


def files() -> dict[str, str]:
    every = (path for folder in FOLDERS for path in sorted(Path(folder).rglob("*")) if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in every}


def main(words: list[str]) -> int:
    if words[:1] == ["--die"]:
        return tune(Dying(at=int(words[1])), Journal(Path(words[2])), dict(word.split("=", 1) for word in words[3:]))
    only = [word for word in words if not word.startswith("--")]
    system, before, stored = System(), state(System()), files()
    here = [found for found in settings(Kernel(system)) if not only or found.knob.name in only]
    with TemporaryDirectory() as folder, taken_back(Journal(Path(folder))) as journal:
        trials = []
        for one in here:
            trials.append(attempt(system, one, journal, kept="--kept" in words))
            sys.stdout.write(f"{trials[-1].line}\n")
            sys.stdout.flush()
        for flag, part in (("--killed", killed), ("--booted", booted)):
            sys.stdout.writelines(f"{line}\n" for line in (part(trials, journal) if flag in words else ()))
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
