"""One file, one plug-in: collect the objects that the modules of a folder offer."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType
    from typing import TypeVar

    P = TypeVar("P")


def names(folder: ModuleType) -> list[str]:
    """The plug-ins of ``folder``, sorted, without importing any."""
    entries = [entry for place in folder.__path__ for entry in os.scandir(place)]
    return sorted(name for name in map(_module, entries) if name.isidentifier() and name != "__init__")


def _module(entry: os.DirEntry[str]) -> str:
    """The name of a module or a package, else nothing; as pkgutil, whose import costs 1 ms."""
    name, suffix = os.path.splitext(entry.name)
    if suffix == ".py":
        return name
    return name if os.path.exists(os.path.join(entry.path, "__init__.py")) else ""


def load(folder: ModuleType, name: str, kind: type[P], constant: str) -> P:
    """``<folder>.<name>.<constant>``; TypeError if it does not offer what ``kind`` promises."""
    plugin = getattr(import_module(f"{folder.__name__}.{name}"), constant)
    if not isinstance(plugin, kind):
        raise TypeError(f"{folder.__name__}.{name}.{constant} is not a {kind.__name__}")
    return plugin


def collect(folder: ModuleType, kind: type[P], constant: str) -> dict[str, P]:
    """``name -> <folder>.<name>.<constant>`` for every module in ``folder``, sorted by name."""
    return {name: load(folder, name, kind, constant) for name in names(folder)}
