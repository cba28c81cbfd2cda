"""The disks of a package, each as a new image: read where they lie, in whatever format they are."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, TypeAlias

from virtkit import disk
from virtkit.core.errors import ImageError, NotSupportedError, UnknownFormatError
from virtkit.core.units import MIB, format_size
from virtkit.disk import inside
from virtkit.disk.actions import Convert, Create
from virtkit.recipes.appliance.actions import ImportDisk
from virtkit.recipes.making import places

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.disk.inside import Stretch
    from virtkit.recipes.appliance.model import Appliance
    from virtkit.recipes.appliance.package import Package
    from virtkit.vm.connection import Connection

Step: TypeAlias = ImportDisk | Convert | Create
_SLACK = 64 * MIB  # what an image may be longer than its disk


class Disks:
    def __init__(self, package: Package, found: Appliance, directory: str, name: str, form: str) -> None:
        self._package, self._found, self._directory, self._name, self._form = package, found, directory, name, form

    def steps(self, libvirt: Connection, system: System) -> list[Step]:
        """ImageError for a disk that cannot be read; ConflictError, NotFoundError for where it would go."""
        stretches = [self._package.stretch(wanted.file) if wanted.file else None for wanted in self._found.disks]
        for index in range(len(stretches)):
            places.require_free(libvirt, self._target(index), system)
        self._require_room([each for each in stretches if each])
        return [self._step(index, stretch) for index, stretch in enumerate(stretches)]

    def _target(self, index: int) -> str:
        number = f"-{index}" if index else ""
        return f"{self._directory}/{self._name}{number}.{self._form}"

    def _step(self, index: int, stretch: Stretch | None) -> Step:
        wanted, target = self._found.disks[index], self._target(index)
        if stretch is None:
            return Create(target, wanted.size, self._form)
        if not (self._package.members or wanted.packed):
            _require_readable(stretch)
            return Convert(stretch.path, target, None, self._form)
        most = wanted.size + wanted.size // 8 + _SLACK if wanted.size else self._room
        size = wanted.size if wanted.packed else _size(stretch)
        place = (stretch.path, stretch.name, stretch.start, stretch.length)
        return ImportDisk(*place, wanted.packed, most, target, self._form, size)

    @property
    def _room(self) -> int:
        return shutil.disk_usage(self._directory).free

    def _require_room(self, stretches: list[Stretch]) -> None:
        """What the files take is the least that their content needs."""
        least = sum(each.length or os.stat(each.path).st_blocks * 512 for each in stretches)
        if least > self._room:
            found = f"{self._directory}: has {format_size(self._room)} free, expected at least {format_size(least)}"
            raise NotSupportedError(found, hint="--directory ANOTHER")


def _require_readable(stretch: Stretch) -> None:
    """With all that it consists of and stands on, which lies beside it or below."""
    try:
        disk.open(stretch.path).close()
    except UnknownFormatError as error:
        raise _unknown(stretch) from error


def _size(stretch: Stretch) -> int:
    """Of the disk within, which is opened for that: what cannot be read is refused now."""
    try:
        with inside.opened(stretch) as source:
            return source.size
    except UnknownFormatError as error:
        raise _unknown(stretch) from error


def _unknown(stretch: Stretch) -> ImageError:
    found = f"{stretch.name}: no known disk format, and raw is never guessed"
    return ImageError(found, hint="if it is raw: virtkit disk convert -f raw FILE new.qcow2; virtkit vm create")
