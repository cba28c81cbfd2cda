"""All that may stand in the way, asked of both hosts before anything is touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.units import format_size
from virtkit.vm.migration import capacity, devices, identity, storage
from virtkit.vm.migration.way import Obstacle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine
    from virtkit.vm.migration.storage import Copy, Store
    from virtkit.vm.migration.way import Way


class Preflight:
    def __init__(self, machine: Machine, here: Connection, there: Connection, way: Way, system: System) -> None:
        self.machine, self.here, self.there, self.way, self._system = machine, here, there, way, system
        self.domain = machine.now() if machine.active else machine.next_start()
        self.stores: list[Store] = storage.stores(self.domain)
        found = list(storage.copies(machine, self.stores, way, there)) if way.copied else []
        self.copies: list[Copy] = [each for each in found if not isinstance(each, Obstacle)]
        self._uncopied = [each for each in found if isinstance(each, Obstacle)]

    @property
    def trusted(self) -> list[str]:
        """Directories that both hosts have to share, though libvirt knows nothing of it."""
        files = [store.path for store in self.stores if storage.local(store) and store.target not in self.way.copied]
        return sorted({os.path.dirname(path) for path in files}) if self.way.unsafe else []

    @property
    def overwritten(self) -> list[str]:
        return sorted({os.path.dirname(copy.path) for copy in self.copies if copy.exists})

    def obstacles(self) -> list[Obstacle]:
        return list(self._obstacles())

    def _obstacles(self) -> Iterator[Obstacle]:
        machine, domain, here, there, way = self.machine, self.domain, self.here, self.there, self.way
        yield from identity.state(machine, way)
        yield from identity.keepsakes(machine)
        yield from identity.taken(machine, there)
        yield from devices.bound(domain)
        yield from devices.cards(domain, there)
        yield from capacity.emulator(domain, there)
        yield from capacity.processor(domain, here, there)
        yield from capacity.pins(domain, there)
        if not way.offline:
            yield from capacity.memory(domain, there)
            yield from identity.blocks(machine, tuple(store.target for store in self.stores))
            yield from storage.unsafe_caches(self.stores, way, machine.name, here, there)
        yield from storage.unshared(self.stores, way, here, self._system)
        yield from storage.reachable(self.stores, way, machine.name, there)
        yield from self._uncopied

    def notes(self) -> Iterator[str]:
        where = self.there.hostname
        if self.way.offline:
            yield "only the definition goes: the machine stays off"
            if nvram := self.domain.node.findtext("os/nvram"):
                yield f"{nvram} stays here: over there the firmware begins with fresh variables"
            if self.domain.node.find("devices/tpm/backend[@type='emulator']") is not None:
                yield "the TPM's state stays here: what is sealed with it (disk keys) cannot be opened over there"
        else:
            memory = format_size(self.domain.memory)
            yield f"it runs on while its memory ({memory}) is copied; then it stands still for some tenths of a second"
        for copy in self.copies:
            yield f"{copy.path} ({format_size(copy.allocated)}) is copied, and stays here as it was at the switch"
        for store in self.stores:
            if store.kind == "block":
                yield f"{store.path} has to be the same device on {where}: nobody can see that from here"
        if self.way.postcopy:
            yield "once it has switched, its memory is on both hosts: if one or the network dies then, so does it"
        yield from capacity.older(self.here, self.there)
