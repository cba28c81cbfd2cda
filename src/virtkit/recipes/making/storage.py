"""The first disk of a new machine: an image converted, shared, stood upon or used as it is; or a new one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit import disk
from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import format_size
from virtkit.disk.actions import Convert, Create, Reflink
from virtkit.recipes.making import places, tree

if TYPE_CHECKING:
    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.recipes.making.order import Storage
    from virtkit.recipes.making.tree import Planted
    from virtkit.vm.connection import Connection

WRITABLE = ("qcow2", "raw")  # what QEMU writes to without reserve, and libvirt snapshots


class Made(NamedTuple):
    path: str
    format: str
    actions: tuple[Action, ...]
    notes: tuple[str, ...] = ()
    boot: Planted | None = None  # what boots it from outside; None: it boots itself


class _Image(NamedTuple):
    """What there is."""

    path: str
    format: str
    size: int  # bytes that a guest sees
    backing: str  # as the image names it


def plan(name: str, wanted: Storage, size: int, libvirt: Connection, system: System) -> Made:
    """``size``: bytes of an empty disk. All is looked at, nothing is made.

    ConflictError, NotFoundError, UsageError, NotSupportedError, ImageError.
    """
    if wanted.tree:
        return _planted(name, wanted, wanted.size or size, libvirt, system)
    if not wanted.image:
        target = _target(name, wanted, wanted.format, libvirt)
        places.require_free(libvirt, target, system)
        return _made(target, wanted.format, Create(target, wanted.size or size, wanted.format), libvirt, system)
    found = _look(wanted)
    if wanted.size and wanted.size < found.size:
        told = f"{name}: size is {format_size(wanted.size)}, expected at least the {format_size(found.size)}"
        raise UsageError(f"{told} of {wanted.image}")
    return _WAYS[wanted.by](name, wanted, found, libvirt, system)


def _planted(name: str, wanted: Storage, size: int, libvirt: Connection, system: System) -> Made:
    target = _target(name, wanted, wanted.format, libvirt)
    found = tree.plan(name, wanted, target, size, system)
    for path in filter(None, (target, found.kernel, found.initrd)):
        places.require_free(libvirt, path, system)
    note = f"{name}: boots {found.kernel}, whatever kernel the guest installs later: virtkit vm edit {name}"
    return Made(target, wanted.format, found.actions, (note,), found)


def _copy(name: str, wanted: Storage, found: _Image, libvirt: Connection, system: System) -> Made:
    target = _target(name, wanted, wanted.format, libvirt)
    places.require_free(libvirt, target, system)
    grown = wanted.size if wanted.size and wanted.size > found.size else None
    convert = Convert(found.path, target, found.format, wanted.format, grown, wanted.allow_backing)
    return _made(target, wanted.format, convert, libvirt, system)


def _reflink(name: str, wanted: Storage, found: _Image, libvirt: Connection, system: System) -> Made:
    _require_writable(found, "its copy that shares blocks would be")
    if wanted.size:
        raise UsageError(f"{name}: size is given, and blocks are shared of the image as it is", hint="--by copy")
    target = _target(name, wanted, found.format, libvirt)
    places.require_free(libvirt, target, system)
    if found.backing and not found.backing.startswith("/") and os.path.dirname(target) != os.path.dirname(found.path):
        told = f"{found.path}: stands on {found.backing}, which is not found from {os.path.dirname(target)}"
        raise NotSupportedError(told, hint=f"--by copy, or --disk {os.path.dirname(found.path)}/{name}.{found.format}")
    from virtkit.disk.reflink import check

    check(found.path, os.path.dirname(target))
    return _made(target, found.format, Reflink(found.path, target), libvirt, system)


def _overlay(name: str, wanted: Storage, found: _Image, libvirt: Connection, system: System) -> Made:
    _require_writable(found, "an overlay would stand on it as")
    places.require_still(libvirt, found.path)
    target = _target(name, wanted, "qcow2", libvirt)
    places.require_free(libvirt, target, system)
    create = Create(target, wanted.size, "qcow2", found.path, found.format)
    made = _made(target, "qcow2", create, libvirt, system)
    note = f"{found.path}: nothing may write to it, move or delete it as long as {name} stands on it"
    return made._replace(notes=(*made.notes, note))


def _in_place(name: str, wanted: Storage, found: _Image, libvirt: Connection, system: System) -> Made:
    _require_writable(found, "the machine would write to it as")
    if wanted.path:
        raise UsageError(f"{name}: a place for the disk is given, and the image is used where it is", hint="--by copy")
    if wanted.size and wanted.size != found.size:
        hint = f"virtkit disk resize {found.path} {wanted.size}"
        raise UsageError(f"{name}: size is given, and the image is used as it is", hint=hint)
    places.require_unused(libvirt, found.path)
    return Made(found.path, found.format, ())


_WAYS = {"copy": _copy, "reflink": _reflink, "overlay": _overlay, "in-place": _in_place}


def _look(wanted: Storage) -> _Image:
    """Everything that it stands on is opened, by the rules of disk/gate."""
    access = disk.Access(allow_backing=wanted.allow_backing)
    with disk.open(wanted.image, "r", wanted.image_format, access) as chain:
        backing = chain.layers[0].image.backing
        return _Image(wanted.image, chain.format, chain.size, backing.name if backing else "")


def _require_writable(found: _Image, what: str) -> None:
    if found.format not in WRITABLE:
        told = f"{found.path}: format is {found.format}, expected {' or '.join(WRITABLE)}: {what} {found.format}"
        raise NotSupportedError(told, hint="--by copy   (it is converted)")


def _target(name: str, wanted: Storage, form: str, libvirt: Connection) -> str:
    return wanted.path or os.path.join(wanted.directory or places.directory(libvirt), f"{name}.{form}")


def _made(target: str, form: str, action: Action, libvirt: Connection, system: System) -> Made:
    return Made(target, form, (action,))
