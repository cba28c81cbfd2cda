"""Turning machines off: ask the guest first, in every way that it may hear."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from virtkit.core.errors import MachineError
from virtkit.core.progress import Note
from virtkit.vm.agent import Agent

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.vm.machine import Machine

STOP_SECONDS = 60  # how long a guest may take by default
_FIRST_WAY = 0.5  # share of the time after which the other way is tried, too


def ask_to_stop(machine: Machine, seconds: float, report: Sink) -> bool:
    """Whether the guest went down within ``seconds``: by its agent if one is there, by the power button, or by both."""
    if not machine.active:
        return True
    by_agent = machine.now().agent_connected and Agent(machine).ping(2)
    step = f"{machine.name}: stop"
    report(Note(step, f"asked the guest {'agent' if by_agent else 'by ACPI'}; waiting up to {seconds:g} s"))
    _ask(machine, by_agent=by_agent)
    if machine.wait_until_off(seconds * _FIRST_WAY):
        return True
    report(Note(step, f"still running; asked {'by ACPI' if by_agent else 'the guest agent'}, too"))
    _ask(machine, by_agent=not by_agent)
    return machine.wait_until_off(seconds * (1 - _FIRST_WAY))


def stop_or_destroy(machine: Machine, seconds: float, report: Sink) -> None:
    """As ``ask_to_stop``; then the plug is pulled."""
    if not ask_to_stop(machine, seconds, report):
        report(Note(f"{machine.name}: stop", "the guest does not react; forced off"))
        destroy(machine)


def destroy(machine: Machine) -> None:
    """Pull the plug; nothing to do if it went off by itself meanwhile."""
    try:
        machine.destroy()
    except MachineError:
        if machine.active:
            raise


def _ask(machine: Machine, *, by_agent: bool) -> None:
    """One request. A guest without an agent, or on its way down already, refuses it: the wait that follows decides."""
    if by_agent:
        Agent(machine).shut_down()
        return
    with suppress(MachineError):
        machine.press_power_button()
