"""What a file should mean after an edit, computed from what it meant before; the edited text is held against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from virtkit.core.errors import NotSupportedError
from virtkit.net.backends.netplan.document import data

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.net.backends.netplan.configuration import Definition
    from virtkit.net.backends.netplan.document import Data, Document, Entry
    from virtkit.net.backends.netplan.moving import Setting

    Table: TypeAlias = "dict[str, tuple[Data, ...]]"


class Expected:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.data: Data = data(document.root) if document.root else ""

    def move(self, part: Definition, taken: Sequence[Entry], instead: Sequence[Setting]) -> None:
        settings = self._table("network", part.section, part.id)
        for name in {entry.name for entry in taken}:
            del settings[name]
        _add(settings, instead)

    def define(self, section: str, name: str, settings: Sequence[Setting]) -> None:
        _add(self._table("network", section, name), settings)

    def drop(self, section: str, name: str) -> None:
        """And the section, where nothing else is in it."""
        del self._table("network", section)[name]
        if not self._table("network", section):
            del self._table("network")[section]

    def _table(self, *path: str) -> Table:
        """Made where it is not there; NotSupportedError where it is there twice."""
        table = self._own(self.data)
        self.data = table
        for name in path:
            values = table.get(name, ({},))
            if len(values) > 1:
                raise NotSupportedError(f"{self.document.path}: {name} is there twice", hint="write it as one mapping")
            inner = self._own(values[0])
            table[name] = (inner,)
            table = inner
        return table

    def _own(self, value: Data) -> Table:
        """A copy: what an alias stands for stays as it is elsewhere."""
        return dict(value) if isinstance(value, dict) else {}


def _add(table: Table, settings: Sequence[Setting]) -> None:
    for setting in settings:
        table[setting.name] = (*table.get(setting.name, ()), setting.value)
