"""What rules are asked about: the host as it is, its knobs as they are set, and what runs on it is for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.disks import Disk
    from virtkit.host.listing import Row
    from virtkit.host.picture import HostFacts

_FIFTH = 5  # what is left when memory is short, as ksmtuned and MOM have it
_VIRTUAL = ("vd", "xvd", "loop", "nbd", "rbd", "zram")


class Profile(StrEnum):
    """What a machine is for. In the order of who loses most where the host does not suit it."""

    REALTIME = "realtime"
    DATABASE = "database"
    DESKTOP = "desktop"
    WEB = "web"
    BUILD = "build"


class Guest(NamedTuple):
    """A machine, as far as it matters to the host."""

    name: str
    profile: Profile | None  # None: nobody said
    active: bool
    vcpus: int
    memory: int  # bytes that it may have
    page_size: int = 0  # bytes of the huge pages that its definition asks for; 0: none
    shared: bool = False  # its memory is one file with other programs (vhost-user, virtiofs)
    pins: CpuSet = frozenset()  # where its vCPUs are bound to; empty: they are not


@dataclass(frozen=True)
class Case:
    facts: HostFacts
    rows: Mapping[str, Row]  # by the setting's name, those that are here
    guests: tuple[Guest, ...] = ()
    profiles: tuple[Profile, ...] = tuple(Profile)  # that the host has to suit, each once, in Profile's order
    chosen: bool = False  # somebody named them; else only what suits all of them is advised
    untrusted: bool = False  # tenants that do not trust each other
    room: Mapping[int, int] | None = None  # node -> bytes that its pools of huge pages may take besides

    def asked(self, guests: Iterable[Guest], profiles: Iterable[Profile], *, untrusted: bool) -> Case:
        """The same host for these machines, and for ``profiles`` besides; with neither nothing is chosen."""
        guests = tuple(guests)
        named = {*profiles, *(guest.profile for guest in guests if guest.profile)}
        suited = tuple(profile for profile in Profile if profile in named or not named)
        return replace(self, guests=guests, profiles=suited, chosen=bool(named), untrusted=untrusted)

    def at(self, name: str) -> list[Row]:
        """A knob at all of its places; nothing where it is not here."""
        return [row for row in self.rows.values() if row.setting.knob.name == name]

    def now(self, name: str) -> str | None:
        """Of a knob of the whole host."""
        return self.rows[name].now if name in self.rows else None

    def suits(self, *profiles: Profile) -> bool:
        """Whether somebody said that the host has to suit one of them."""
        return self.chosen and not set(profiles).isdisjoint(self.profiles)

    def of(self, *profiles: Profile) -> list[Guest]:
        return [guest for guest in self.guests if guest.profile in profiles]

    @property
    def running(self) -> list[Guest]:
        return [guest for guest in self.guests if guest.active]

    @property
    def vcpus(self) -> int:
        """Of the machines that run."""
        return sum(guest.vcpus for guest in self.running)

    @property
    def crowded(self) -> bool:
        """More vCPUs run than there are CPUs."""
        return self.vcpus > len(self.facts.topology.cpus)

    @property
    def promised(self) -> int:
        """Bytes that all machines may ask for."""
        return sum(guest.memory for guest in self.guests)

    @property
    def short_of_memory(self) -> bool:
        """Machines may ask for more than four fifths of it, or less than a fifth is available."""
        memory = self.facts.memory
        if not memory.total:
            return False
        scarce = memory.available is not None and memory.available * _FIFTH < memory.total
        return self.promised * _FIFTH > memory.total * (_FIFTH - 1) or (scarce and bool(self.running))

    @property
    def bound(self) -> list[Guest]:
        """Machines that run with their vCPUs bound to some of the CPUs."""
        return [guest for guest in self.running if guest.pins and guest.pins < self.facts.topology.cpus]

    def virtual(self, disk: Disk) -> bool:
        """Whether something below this host serves it; what it says of itself then means little."""
        return disk.name.startswith(_VIRTUAL) or bool(self.facts.guest.inside)
