"""All knobs, by name: every module of ``host/knobs`` is a family."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from virtkit.core import plugins
from virtkit.core.errors import NotFoundError
from virtkit.host import knobs as families
from virtkit.host.knob import Setting, places

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from virtkit.host.kernel import Kernel
    from virtkit.host.knob import Knob


@cache
def knobs() -> Mapping[str, Knob]:
    """Family by family, in the order of their files."""
    found = plugins.collect(families, tuple, "KNOBS")
    return MappingProxyType(
        {knob.name: knob._replace(family=family) for family, members in found.items() for knob in members}
    )


def settings(kernel: Kernel) -> Iterator[Setting]:
    """Every knob at every place that this host has; a knob that it does not have is not here."""
    for knob in knobs().values():
        found = (Setting(knob, place) for place in places(kernel, knob.scope))
        yield from (setting for setting in found if setting.present(kernel))


def setting(name: str) -> Setting:
    """``vm.swappiness``, ``block.scheduler@vda``, whether it is here or not. NotFoundError for an unknown knob."""
    bare, _, place = name.partition("@")
    knob = knobs().get(bare)
    if knob is None:
        raise NotFoundError(f"{bare}: virtkit knows no such knob", hint=f"virtkit host knobs {_near(bare)}".rstrip())
    return Setting(knob, place)


def beside(of: Setting, name: str) -> Setting:
    """Another knob at the same place, or of the whole host."""
    knob = knobs()[name]
    return Setting(knob, of.place if knob.scope is of.knob.scope else "")


def rival(of: Setting) -> Setting:
    """Of a knob that has one."""
    return beside(of, of.knob.rival)


def coupled(of: Setting, kernel: Kernel) -> tuple[Setting | None, list[Setting]]:
    """Its rival, and what the kernel sets anew with it, as far as that is here and could be put back now."""
    resets = [beside(of, name) for name in of.knob.resets]
    return rival(of) if of.knob.rival else None, [
        other for other in resets if other.present(kernel) and other.writable(kernel) and met(other, kernel)
    ]


def followers(of: Setting) -> list[Setting]:
    """What has to be set after it: the kernel sets those anew with it, or takes them only because of it."""
    names = [*of.knob.resets, *(knob.name for knob in knobs().values() if knob.needs and knob.needs[0] == of.knob.name)]
    return [beside(of, name) for name in names]


def met(of: Setting, kernel: Kernel) -> bool:
    """Whether the kernel takes a value for it as things are: what this kernel does not have is not in the way."""
    if not of.knob.needs:
        return True
    name, value = of.knob.needs
    return beside(of, name).read(kernel) in {None, value}


def find(kernel: Kernel, name: str) -> list[Setting]:
    """``vm.swappiness``, ``block.scheduler@vda``, or all its places: ``block.scheduler``. NotFoundError, with why."""
    knob, place = setting(name)
    there = places(kernel, knob.scope)
    found = [Setting(knob, one) for one in ([place] if "@" in name else there)]
    if "@" in name and place not in there:
        known = f"expected one of: {', '.join(there)}" if any(there) else f"{knob.name} is one for the whole host"
        raise NotFoundError(f"{name}: no {knob.scope} {place}, {known}", hint=f"virtkit host knobs {knob.family}")
    here = [setting for setting in found if setting.present(kernel)]
    if not here:
        files = ", ".join(setting.file for setting in found[:1]) or knob.file
        raise NotFoundError(f"{name}: not here: this kernel or hardware has no {files} that can be read")
    return here


def _near(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, knobs(), n=1)
    return knobs()[close[0]].family if close else ""
