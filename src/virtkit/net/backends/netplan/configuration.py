"""All of netplan's files as netplan merges them: by file name across its directories, later ones on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.files import text_of
from virtkit.net.backends.netplan import document, keys
from virtkit.net.backends.netplan.document import Mapping, Scalar, Sequence, data, resolved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.backends.netplan.document import Data, Document, Entry, Node

# A file hides those of the same name in the directories before it (netplan-generate(8)).
DIRECTORIES = ("/lib/netplan", "/etc/netplan", "/run/netplan")


@dataclass(frozen=True)
class Definition:
    """What one file says about one link."""

    document: Document
    section: str  # ``ethernets``
    entry: Entry  # ``eth0: {...}``

    @property
    def id(self) -> str:
        return self.entry.name

    @property
    def settings(self) -> Mapping:
        """NotSupportedError where they are not written here."""
        if isinstance(self.entry.value, Mapping):
            return self.entry.value
        value = resolved(self.entry.value)
        if isinstance(value, Mapping):
            raise NotSupportedError(f"{self.place}: {self.id} is an alias, expected its settings in their own words")
        raise NotSupportedError(f"{self.place}: {self.id} has no settings, expected a mapping")

    @property
    def place(self) -> str:
        return self.document.place(self.entry.start)

    def get(self, name: str) -> Entry | None:
        value = resolved(self.entry.value)
        return value.get(name) if isinstance(value, Mapping) else None


@dataclass(frozen=True)
class Configuration:
    documents: tuple[Document, ...]  # in the order of merging

    def definitions(self) -> Iterator[Definition]:
        for found in self.documents:
            for section in sections(found):
                value = resolved(section.value)
                if section.name in keys.SECTIONS and isinstance(value, Mapping):
                    for entry in value.entries:
                        if entry.name != "renderer":
                            yield Definition(found, section.name, entry)

    def of(self, section: str, name: str) -> list[Definition]:
        return [found for found in self.definitions() if (found.section, found.id) == (section, name)]

    def setting(self, section: str, name: str, key: str) -> str:
        """A scalar as merged: the last file that has it wins; empty: none has."""
        found = [text(entry.value) for part in self.of(section, name) if (entry := part.get(key))]
        return found[-1] if found else ""

    def renderer(self, section: str, name: str = "") -> str:
        """For a definition, or what a definition in this section gets that does not say it itself."""
        own = self.setting(section, name, "renderer") if name else ""
        return own or self._default(section) or self._default("") or "networkd"

    def _default(self, section: str) -> str:
        places = [_section(part, section) for part in self.documents]
        return next((text(said.value) for place in reversed(places) if (said := place.get("renderer"))), "")

    def listing(self, name: str) -> list[tuple[Definition, Scalar]]:
        """Bridges, bonds and VRFs that have the definition ``name`` as a port."""
        return [
            (part, port)
            for part in self.definitions()
            if part.section in {"bonds", "bridges", "vrfs"} and (entry := part.get("interfaces"))
            for port in scalars(entry.value)
            if port.value == name
        ]


def read(system: System) -> Configuration:
    """NotSupportedError with the place for a file that netplan could not read either."""
    found: dict[str, Document] = {}
    for directory in DIRECTORIES:
        for name in system.names(directory):
            if name.endswith(".yaml") and not name.startswith("."):
                path = f"{directory}/{name}"
                found[name] = document.parse(path, text_of(system, path) or "")
    return Configuration(tuple(found[name] for name in sorted(found)))


def sections(found: Document) -> tuple[Entry, ...]:
    return _section(found).entries


def network(found: Document) -> Entry | None:
    return found.root.get("network") if isinstance(found.root, Mapping) else None


def _section(found: Document, name: str = "") -> Mapping:
    """``network`` itself without a name; empty where the file has none."""
    entry = network(found)
    value = resolved(entry.value) if entry else None
    if name and isinstance(value, Mapping):
        entry = value.get(name)
        value = resolved(entry.value) if entry else None
    return value if isinstance(value, Mapping) else Mapping(0, 0, (), flow=False)


def text(node: Node) -> str:
    """A scalar's; empty for anything else."""
    value = resolved(node)
    return value.value if isinstance(value, Scalar) else ""


def scalars(node: Node) -> list[Scalar]:
    value = resolved(node)
    items = map(resolved, value.items) if isinstance(value, Sequence) else ()
    return [item for item in items if isinstance(item, Scalar)]


def merged(definitions: list[Definition]) -> dict[str, Data]:
    """Scalars of later files win, lists are appended, mappings merged, as netplan does."""
    found: dict[str, Data] = {}
    for part in definitions:
        value = data(part.entry.value)
        for key, values in value.items() if isinstance(value, dict) else ():
            for each in values:
                found[key] = _merged(found.get(key), each)
    return found


def _merged(old: Data | None, new: Data) -> Data:
    if isinstance(old, tuple) and isinstance(new, tuple):
        return (*old, *new)
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: (*old.get(key, ()), *new.get(key, ())) for key in (*old, *new)}
    return new
