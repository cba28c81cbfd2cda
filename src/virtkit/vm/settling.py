"""From a wanted definition to a plan: what changes while the machine runs, what from its next start, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError
from virtkit.core.plan import Plan
from virtkit.vm import knobs, liveness
from virtkit.vm.difference import Change, changes, devices, split
from virtkit.vm.fields import whole
from virtkit.vm.plugging import port_missing
from virtkit.vm.xml import text

if TYPE_CHECKING:
    from virtkit.core.plan import Action, Json
    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine

POWER_OFF = "a reboot inside the guest is not enough: virtkit vm stop, then virtkit vm start"


class Wanted(NamedTuple):
    later: Domain  # the definition
    now: Domain  # the running machine
    live: list[Change]  # that lead to it


def settle(title: str, machine: Machine, wanted: Wanted, libvirt: Connection) -> Plan:
    """The plan that makes the machine as ``wanted``.

    The definition comes first: libvirt holds it against its schema before the running machine is touched.
    """
    from virtkit.vm.actions import Redefine

    steps: list[Action] = []
    if machine.persistent and changes((old := machine.next_start()).node, wanted.later.node):
        check_identity(machine.name, old, wanted.later)
        libvirt.check(wanted.later.text(), machine.name)
        steps.append(Redefine.of(machine.name, old, wanted.later))
    if not machine.active:
        return Plan(title, tuple(steps), ("it is off: all counts from its next start",) if steps else ())
    now, waits = _now(machine, wanted)
    if not machine.persistent and waits:
        raise NotSupportedError(f"{machine.name}: is transient, it has no next start: {'; '.join(waits)}")
    if waits and steps:
        waits.append(POWER_OFF)
    return Plan(title, (*steps, *now), tuple(waits))


def raw(title: str, machine: Machine, later: Domain, libvirt: Connection) -> Plan:
    """For a definition as a whole: what it changes is changed in the running machine, too."""
    if not machine.active:
        return settle(title, machine, Wanted(later, later, []), libvirt)
    asked = changes(machine.next_start().node, later.node)
    present = {change.path: change for change in changes(machine.now().node, later.node)}
    live = [change for change in asked if change.path in present]
    return settle(title, machine, Wanted(later, later, live), libvirt)


def check_identity(name: str, old: Domain, new: Domain) -> None:
    """NotSupportedError where it would be another machine."""
    for field, was, now in (("name", old.name, new.name), ("uuid", old.uuid, new.uuid or old.uuid)):
        if was.lower() != now.lower():
            hint = f"virtkit vm clone {name} {new.name or 'NEW'}"
            raise NotSupportedError(
                f"{name}: {field} is {now or 'empty'}, expected {was}: it names the machine", hint=hint
            )


def _now(machine: Machine, wanted: Wanted) -> tuple[list[Action], list[str]]:
    """The actions on the running machine, and what waits for its next start, with the reason."""
    from virtkit.vm.actions import Tune

    plugs: list[Action] = []
    waits: list[str] = []
    groups: dict[tuple[str, str], dict[str, Json]] = {}
    for change in wanted.live:
        if change.whole:
            _plug(machine, change, wanted.now, plugs, waits)
            continue
        rule = liveness.rule(change.path)
        if not rule.knob:
            waits.append(f"{change.path} counts from the next start: {rule.why}")
            continue
        tag, known, below = split(change.path)
        device = f"{tag}[{known}]" if tag else ""
        groups.setdefault((rule.knob, device), {})[below] = change.new
    for (knob, device), values in groups.items():
        if reason := knobs.load(knob).cannot(machine, device, {path: str(value) for path, value in values.items()}):
            waits += [f"{whole(device, path)} counts from the next start: {reason}" for path in values]
        else:
            plugs.append(Tune(machine.name, knob, device, values))
    return plugs, waits


def _plug(machine: Machine, change: Change, wanted: Domain, plugs: list[Action], waits: list[str]) -> None:
    from virtkit.vm.actions import Plug, Unplug

    node = devices(wanted.node).get(change.path)
    if reason := liveness.unpluggable(change.path) or ("" if node is None else port_missing(machine.now(), node)):
        waits.append(f"{change.path} counts from the next start: {reason}")
    elif node is None:
        plugs.append(Unplug(machine.name, change.path, ""))
    else:
        plugs.append(Plug(machine.name, change.path, text(node)))
