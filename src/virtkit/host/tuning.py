"""From wished values to a plan: all is checked before anything is written, and written in the kernel's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError, VirtkitError
from virtkit.core.files import text_of
from virtkit.core.plan import Plan
from virtkit.host.actions import PersistKnobs, RunKsm, SetKnob
from virtkit.host.keeping import Keeping
from virtkit.host.kept import Rehearsed
from virtkit.host.kernel import Kernel
from virtkit.host.knob import Risk, Scope
from virtkit.host.programs import find_tuners, read_programs
from virtkit.host.registry import beside, find, knobs, rival

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from virtkit.core.system import System
    from virtkit.host.keeping import Writing
    from virtkit.host.knob import Knob, Setting


class Wish:
    """A setting and the value it is to have, checked."""

    def __init__(self, setting: Setting, value: str, kernel: Kernel) -> None:
        self.setting, self.value = setting, value
        self.now = setting.read(kernel)
        self.met = self.now == value
        self.writable = setting.writable(kernel)

    @property
    def name(self) -> str:
        return self.setting.name


def set_knobs(system: System, wanted: Mapping[str, str], *, run_time: bool = True, persistent: bool = True) -> Plan:
    """``{"vm.swappiness": "10", "block.scheduler@vda": "none"}``; a name without its place means all its places.

    Empty where all is so already. UsageError (every fault, a line each), NotFoundError for what is not here,
    NotSupportedError for what cannot be set while the kernel runs (unless it is to be kept for the next boot), what
    nothing on this host keeps, and what another file would overwrite at boot.
    """
    kernel = Kernel(system)
    wishes = ordered(_checked(kernel, wanted, run_time=run_time, persistent=persistent))
    now = list(_moved(wish for wish in wishes if wish.writable)) if run_time else []
    later = _unkept(kernel, (wish for wish in wishes if not (run_time and _of_this_boot(wish)))) if persistent else []
    files = Keeping(kernel).files((wish.setting, wish.value) for wish in later)
    _contest(system, files, later)
    actions = [
        *(_SETS.get(wish.name, SetKnob)(wish.name, wish.value, wish.now or "none") for wish in now),
        *(_persist(system, writing) for writing in files),
    ]
    notes = [*_notes(kernel, wishes), *(_boot_notes(kernel, wishes, files) if persistent else ())]
    return Plan(f"set {_briefly(wanted)}", tuple(actions), tuple(notes))


def _of_this_boot(wish: Wish) -> bool:
    """The next boot may give an interrupt's number to another device."""
    return wish.setting.knob.scope is Scope.IRQ


def _unkept(kernel: Kernel, wishes: Iterable[Wish]) -> list[Wish]:
    """Those that the next boot would not have."""
    keeping = Keeping(kernel)
    winners = ((wish, keeping.winner(wish.setting)) for wish in wishes)
    return [wish for wish, kept in winners if kept is None or kept.value != wish.value]


def _contest(system: System, files: Iterable[Writing], wishes: Iterable[Wish]) -> None:
    """NotSupportedError where a file that is not ours would win: then ours would be a promise that nobody keeps."""
    rehearsed = Rehearsed(system, {file.path: file.text for file, *_ in files})
    keeping = Keeping(rehearsed)
    for wish in wishes:
        setting = wish.setting
        won = keeping.winner(setting)
        if won is None or won.value != wish.value:
            last = keeping.all(setting, *([rival(setting)] if setting.knob.rival else []))[-1:]
            found = [
                f"{one.where} sets {one.name} to {one.value} and is read later: it would win at boot" for one in last
            ]
            raise NotSupportedError(
                f"{wish.name}: {found[0] if found else 'no file of this host would set it at boot'}",
                hint=f"take that line out, or for now only: virtkit host set --runtime {wish.name}={wish.value}",
            )


def _persist(system: System, writing: Writing) -> PersistKnobs:
    file, was = writing.file, text_of(system, writing.file.path) or ""
    return PersistKnobs(file.path, file.text, writing.values, writing.whole, " ".join(file.refresh), was)


def _boot_notes(kernel: Kernel, wishes: Iterable[Wish], files: Iterable[Writing]) -> Iterator[str]:
    for wish in wishes:
        if _of_this_boot(wish) and not wish.met:
            yield f"{wish.name}: until the next boot, which may number interrupts otherwise"
        if not wish.writable and not wish.met:
            yield f"{wish.name}: counts from the next boot on: a reboot is needed, now it stays {wish.now or 'unset'}"
    if any("/tuned/" in file.path for file, *_ in files):
        active = kernel.text("/etc/tuned/active_profile")
        yield (
            f"tuned runs with profile {active}: its next start takes the profile virtkit, which includes that;"
            " tuned-adm profile virtkit takes it now and sets everything in it anew"
        )


def _checked(kernel: Kernel, wanted: Mapping[str, str], *, run_time: bool, persistent: bool) -> list[Wish]:
    faults: list[VirtkitError] = []
    wishes: dict[str, Wish] = {}
    for name, value in wanted.items():
        try:
            found = find(kernel, name)
            wishes |= {one.name: Wish(one, one.accept(kernel, value), kernel) for one in found}
        except VirtkitError as error:
            faults.append(error)
    faults += [fault for wish in wishes.values() for fault in _faults(wish, wishes, kernel)]
    if run_time and not persistent:
        faults += [_read_only(wish, kernel) for wish in wishes.values() if not (wish.met or wish.writable)]
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise UsageError("\n".join(fault.message for fault in faults), hint=faults[0].hint)
    return list(wishes.values())


def _faults(wish: Wish, wishes: Mapping[str, Wish], kernel: Kernel) -> Iterator[VirtkitError]:
    knob, here = wish.setting.knob, wish.setting
    if knob.rival and (other := rival(here).name) in wishes and other > wish.name:
        yield UsageError(
            f"{wish.name}: the kernel sets it to 0 when {other} is set, expected one of the two",
            hint=f"virtkit host set {wish.name}={wish.value}",
        )
    if knob.needs and not wish.met:
        needed, value = beside(here, knob.needs[0]), knob.needs[1]
        will_be = wishes[needed.name].value if needed.name in wishes else needed.read(kernel)
        if will_be not in {None, value}:
            yield UsageError(
                f"{wish.name}: {needed.name} is {will_be}, expected {value}: else the kernel refuses it",
                hint=f"virtkit host set {needed.name}={value} {wish.name}={wish.value}",
            )
    if knob.refusal and not wish.met and (why := knob.refusal(kernel, here.place, wish.value)):
        yield NotSupportedError(f"{wish.name}: {why}")


def _read_only(wish: Wish, kernel: Kernel) -> VirtkitError:
    told = f"{wish.name}: this kernel lets nobody set it while it runs ({wish.setting.file} is read-only)"
    try:
        Keeping(kernel).kind(wish.setting)
    except NotSupportedError as error:
        return NotSupportedError(told, hint=error.hint)
    return NotSupportedError(told, hint=f"virtkit host set --persistent {wish.name}={wish.value}, then reboot")


def ordered(wishes: Iterable[Wish]) -> list[Wish]:
    """What others need, or what sets others anew, comes before those."""
    found = list(wishes)
    names = {wish.setting.knob.name for wish in found}
    return sorted(found, key=lambda wish: _depth(wish.setting.knob, names))


def _depth(knob: Knob, names: set[str]) -> int:
    before = {name for name in names if knob.name in knobs()[name].resets}
    if knob.needs and knob.needs[0] in names:
        before.add(knob.needs[0])
    return 1 + max((_depth(knobs()[name], names - {knob.name}) for name in before), default=0)


def _moved(wishes: Iterable[Wish]) -> Iterator[Wish]:
    """Those to be written: not as wished, or about to be set anew by one that is written."""
    anew: set[str] = set()
    for wish in wishes:
        if not wish.met or wish.name in anew:
            anew |= {beside(wish.setting, name).name for name in wish.setting.knob.resets}
            yield wish


def _notes(kernel: Kernel, wishes: Iterable[Wish]) -> Iterator[str]:
    tuners = find_tuners(kernel, read_programs(kernel))
    for wish in wishes:
        knob, file = wish.setting.knob, wish.setting.file
        if wish.met:
            continue
        if knob.risk not in {Risk.SAFE, Risk.REBOOT} or (knob.risk is Risk.REBOOT and knob.danger):
            yield f"{wish.name}: {knob.risk}" + (f": {knob.danger.en}" if knob.danger else "")
        yield from (f"{wish.name}: {tuner.name} runs and may set it anew" for tuner in tuners if tuner.writes(file))


def _briefly(wanted: Mapping[str, str]) -> str:
    names = list(wanted)
    return ", ".join(names) if len(names) <= _NAMED else f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


_NAMED = 3  # knobs in a title
_SETS: dict[str, type[SetKnob]] = {"ksm.run": RunKsm}  # those that take more than a write
