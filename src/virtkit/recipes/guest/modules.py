"""Which kernel modules a module needs, read from the modules themselves.

A package holds no modules.dep (depmod writes that file when the package is installed), but every module carries
``depends=a,b`` in its .modinfo section, where modpost put it (kernel: scripts/mod/modpost.c, add_depends).
"""

from __future__ import annotations

import lzma
from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_DEPENDS = b"\0depends="


class Modules:
    """The modules below ``folder`` (/lib/modules/<release> of an unpacked kernel)."""

    def __init__(self, folder: Path) -> None:
        self._paths = {_name(path): path for pattern in ("*.ko", "*.ko.xz") for path in sorted(folder.rglob(pattern))}
        built_in = (folder / "modules.builtin").read_text().splitlines()
        self._built_in = {line.rpartition("/")[2].removesuffix(".ko").replace("-", "_") for line in built_in}

    def in_order(self, wanted: Iterable[str]) -> dict[str, bytes]:
        """Name and content of the ``wanted`` modules, each after those that it needs; built-in ones left out.

        NotFoundError for a module that the kernel does not have.
        """
        loaded: dict[str, bytes] = {}
        for name in wanted:
            self._add(name, loaded)
        return loaded

    def _add(self, name: str, loaded: dict[str, bytes]) -> None:
        if name in loaded or name in self._built_in:
            return
        if name not in self._paths:
            raise NotFoundError(f"kernel module {name}: not in this kernel")
        content = _content(self._paths[name])
        for needed in needs(content):
            self._add(needed, loaded)
        loaded[name] = content


def needs(module: bytes) -> list[str]:
    """The names in the module's ``depends=``."""
    start = module.find(_DEPENDS)
    if start < 0:
        return []
    start += len(_DEPENDS)
    names = module[start : module.index(b"\0", start)].decode().split(",")
    return [name.replace("-", "_") for name in names if name]


def _name(path: Path) -> str:
    """Files may be written with - where the kernel says _."""
    return path.name.partition(".")[0].replace("-", "_")


def _content(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
