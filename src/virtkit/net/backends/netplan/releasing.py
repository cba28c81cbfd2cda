"""The way back: what the bridge has of layer 3 is its port's again, and no file knows the bridge any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError
from virtkit.net.backends.netplan import checks, keys, moving
from virtkit.net.backends.netplan.configuration import merged
from virtkit.net.backends.netplan.document import data
from virtkit.net.backends.netplan.expected import Expected
from virtkit.net.backends.netplan.placing import placed

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.backend import File
    from virtkit.net.backends.netplan.blocks import Edit
    from virtkit.net.backends.netplan.configuration import Configuration, Definition
    from virtkit.net.backends.netplan.document import Document, Entry

SECTION = "bridges"


def released(system: System, configuration: Configuration, bridge: str, port: str) -> tuple[File, ...]:
    parts = configuration.of(SECTION, bridge)
    if not parts:
        raise NotFoundError(f"{bridge}: netplan's files do not define it", hint="netplan get bridges")
    ports = checks.definition(system, configuration, port)
    checks.releasable(configuration, parts, ports)
    changed = []
    for here in configuration.documents:
        mine = next((part for part in parts if part.document is here), None)
        its = next((part for part in ports if part.document is here), None)
        if mine or its:
            changed.append(_changed(here, mine, its, ports))
    return tuple(file for file in changed if file)


def _changed(here: Document, mine: Definition | None, its: Definition | None, ports: list[Definition]) -> File | None:
    """``mine`` is the bridge in this file, ``its`` the port."""
    moving_back = moving.found(mine, _given(mine, ports)) if mine else []
    off = _off(its) if its else []
    if its and len(off) == len(its.settings.entries) and not moving_back:
        off = off[1:]  # netplan takes no definition without settings
    if not mine and not off:
        return None
    expected = Expected(here)
    edits: list[Edit] = []
    if its:
        edits += moving.replaced(its, off, moving_back) if off or moving_back else []
        expected.move(its, off, moving_back)
    elif mine and moving_back:
        first = ports[0]
        edits += moving.defined(mine, first.section, first.id, moving_back)
        expected.define(first.section, first.id, moving_back)
    if mine:
        edits += moving.dropped(mine)
        expected.drop(SECTION, mine.id)
    return placed(here, moving.proven(here, edits, expected.data))


def _given(part: Definition, ports: list[Definition]) -> list[Entry]:
    """What the port does not have by itself; its MTU it has, the bridge only followed it."""
    back = keys.LAYER3 | keys.BOTH - merged(ports).keys()
    return [entry for entry in part.settings.entries if entry.name in back]


def _off(part: Definition) -> list[Entry]:
    """What only says that the port has no layer 3."""
    return [
        entry
        for entry in part.settings.entries
        if entry.name in keys.NOTHING and (data(entry.value) == () or keys.false(str(data(entry.value))))
    ]
