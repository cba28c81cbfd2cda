"""What a declarative file wants of the host itself, for its machines and for those that are there besides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit import host
from virtkit.host.advice.case import Guest, Profile
from virtkit.recipes.advice.guests import known

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.host.advice.advising import Advice
    from virtkit.recipes.spec import Spec


def advice(spec: Spec, system: System) -> Advice | None:
    """None where the file leaves the host as it is."""
    if spec.host is None:
        return None
    facts = host.facts(system)
    machines = [
        Guest(name, Profile(machine.workload), active=True, vcpus=machine.cpus, memory=machine.memory)
        for name, machine in spec.machines.items()
    ]
    others = [each for each in known(facts, recorded=False)[0].guests if each.name not in spec.machines]
    return host.advise(system, [*machines, *others], [Profile(spec.host.profile)], picture=facts)
