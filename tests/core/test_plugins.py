from __future__ import annotations

import pkgutil
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pytest

from virtkit.core.plugins import collect, names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType


@runtime_checkable
class Named(Protocol):
    title: str


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[ModuleType]:
    package = tmp_path / "plugin_folder"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("b", "a"):
        (package / f"{name}.py").write_text(f"class T: title = {name!r}\nPLUGIN = T()\n")
    sys.path.insert(0, str(tmp_path))
    yield import_module("plugin_folder")
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("plugin_folder")]:
        del sys.modules[name]


def test_every_file_is_a_plug_in_under_its_name(folder: ModuleType) -> None:
    assert names(folder) == ["a", "b"]
    assert {name: plugin.title for name, plugin in collect(folder, Named, "PLUGIN").items()} == {"a": "a", "b": "b"}


def test_a_file_that_does_not_keep_the_promise_is_named(folder: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "plugin_folder" / "c.py").write_text("PLUGIN = 3\n")
    with pytest.raises(TypeError, match=r"plugin_folder\.c\.PLUGIN is not a Named"):
        collect(folder, Named, "PLUGIN")


def test_a_package_is_a_plug_in_and_what_is_no_module_is_none(folder: ModuleType, tmp_path: Path) -> None:
    place = tmp_path / "plugin_folder"
    (place / "c").mkdir()
    (place / "c" / "__init__.py").touch()
    (place / "left_over" / "__pycache__").mkdir(parents=True)
    for name in ("notes.md", "a.py~", ".#a.py"):
        (place / name).touch()
    assert names(folder) == ["a", "b", "c"] == sorted(info.name for info in pkgutil.iter_modules(folder.__path__))
