"""Which of firewalld's zones a link is in, in the running firewall. What its files say comes at its next start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import CommandError
from virtkit.net import processes

if TYPE_CHECKING:
    from virtkit.core.system import System

COMMAND = "firewall-cmd"
NO_ZONE = 2  # exit status, with "no zone" on its standard output


def runs(system: System) -> bool:
    return any(processes.running(system, ("firewalld",)))


def zone(system: System, link: str) -> str:
    """Empty: none of its own, so the default zone has it. CommandError where firewalld does not answer."""
    command = [COMMAND, f"--get-zone-of-interface={link}"]
    done = system.run(command, check=False)
    if done.status not in {0, NO_ZONE}:
        raise CommandError(command, done.status, done.stderr or done.stdout)
    return "" if done.status == NO_ZONE else done.stdout.strip()


def default_zone(system: System) -> str:
    return system.run([COMMAND, "--get-default-zone"]).stdout.strip()


def assign(system: System, link: str, name: str) -> None:
    """An empty name takes the link out of its zone."""
    if name:
        system.run([COMMAND, f"--zone={name}", f"--change-interface={link}"])
    elif current := zone(system, link):
        system.run([COMMAND, f"--zone={current}", f"--remove-interface={link}"])
