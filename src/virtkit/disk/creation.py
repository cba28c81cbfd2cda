"""A new, empty image, alone or on a backing image."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UnknownFormatError, UsageError, VirtkitError
from virtkit.core.units import SECTOR, parse_size, round_up
from virtkit.disk import catalog
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import Chain, open_chain
from virtkit.disk.file import File
from virtkit.disk.format import Blank
from virtkit.disk.newfile import NewFile
from virtkit.disk.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from virtkit.disk.format import WritableFormat

LARGEST = (1 << 63) - SECTOR  # bytes; more sectors do not fit off_t

_PLACED = {"backing_file", "backing_fmt", "size"}  # options that qemu-img takes and we keep apart


class Created(NamedTuple):
    """Sizes in bytes."""

    filename: str
    format: str
    size: int  # that the guest sees
    allocated: int | None  # on the file system; None where nothing was made
    backing: Reference | None = None


class _Wanted(NamedTuple):
    path: str
    format: str
    kind: WritableFormat
    size: int | None
    options: Mapping[str, str]
    backing: Reference | None
    secret: bytes | None


def create(
    path: str,
    size: int | None = None,
    *,
    target_format: str | None = None,
    options: Mapping[str, str] | None = None,
    backing: str | None = None,
    backing_format: str | None = None,
    unchecked: bool = False,
    overwrite: bool = False,
    durable: bool = False,
    dry_run: bool = False,
    secret: bytes | None = None,
    access: Access = READ_ONLY,
) -> Created:
    """Make the empty image ``path``; it appears when it is whole, or not at all. A block device is written in place.

    ``size``: bytes of the disk, rounded up to whole sectors of 512; None: as long as the backing image's.
    ``target_format`` None: told by the suffix. ``options``: ``qemu-img create -o``'s.
    ``backing``: kept in the image as given; a relative name is looked for from the image's directory.
    ``backing_format`` None: told by its signature; a raw one must be said, because any guest can write a signature.
    ``unchecked``: the backing image is not opened and need not be there.
    ``secret``: passphrase of the new image; ``access``: how the backing image is opened.
    ``dry_run``: refuse what would be refused, but make nothing.
    UsageError; NotSupportedError; SystemCallError, on a full disk too.
    """
    given = options or {}
    own = {name: value for name, value in given.items() if name not in _PLACED}
    name = target_format or catalog.from_suffix(path, "-f")
    if size is None and "size" in given:
        size = parse_size(given["size"])
    reference = _reference(backing, backing_format, given)
    wanted = _Wanted(path, name, _kind(name, own), size, own, reference, secret)
    _refuse_existing(path, overwrite=overwrite)
    with _below(wanted, access, unchecked=unchecked) as below:
        blank = _blank(wanted, below)
        if dry_run:
            return Created(path, wanted.format, blank.size, None, blank.backing)
        with NewFile(path, overwrite=overwrite) as new:
            wanted.kind.writer(new.file, blank._replace(create=new.beside)).finish()
            allocated = new.allocated
            new.publish(durable=durable)
    return Created(path, wanted.format, blank.size, allocated, blank.backing)


def _kind(name: str, options: Mapping[str, str]) -> WritableFormat:
    kind = catalog.load_writable(name)
    catalog.require_options(name, kind, options)
    return kind


def _reference(backing: str | None, format_: str | None, options: Mapping[str, str]) -> Reference | None:
    """``-o`` may say what has a place of its own too: backing_file, backing_fmt, size."""
    backing = backing or options.get("backing_file") or None
    format_ = format_ or options.get("backing_fmt") or None
    if format_ and not backing:
        raise UsageError("-F: is the format of a backing file, and none is given", hint="-b FILE")
    return Reference(backing, format_) if backing else None


def beside(path: str, name: str) -> str:
    """Where an image at ``path`` will look for the backing image that it calls ``name``."""
    return os.path.join(os.path.dirname(path), name)


def said(reference: Reference, found: str | None) -> Reference:
    """With a format; UsageError where neither the user nor a signature tells it."""
    if reference.format:
        return reference
    if found is None:
        name = reference.name
        raise UsageError(
            f"{name}: format of the backing file is not said, and it carries no known signature", hint="-F raw"
        )
    return reference._replace(format=found)


def _below(wanted: _Wanted, access: Access, *, unchecked: bool) -> AbstractContextManager[Chain | None]:
    if wanted.backing is None or unchecked:
        return nullcontext()
    path = beside(wanted.path, wanted.backing.name)
    if os.path.exists(wanted.path) and os.path.exists(path) and os.path.samefile(wanted.path, path):
        raise UsageError(f"{wanted.path}: cannot be its own backing file", hint="another name")
    try:
        return open_chain(path, wanted.backing.format, access._replace(parent=None))
    except UnknownFormatError as error:
        raise UsageError(
            f"{path}: format of the backing file is not said, and it carries no known signature", hint="-F raw"
        ) from error


def _blank(wanted: _Wanted, below: Chain | None) -> Blank:
    reference = said(wanted.backing, below.format if below else None) if wanted.backing else None
    size = below.size if below and wanted.size is None else wanted.size
    if size is None:
        raise UsageError(f"{wanted.path}: size is not said", hint=f"virtkit disk create {wanted.path} 10G")
    if not 0 <= size <= LARGEST:
        raise UsageError(f"{wanted.path}: size is {size} bytes, expected 0 to {LARGEST}")
    image = below.layers[0].image if below else None
    return Blank(round_up(size, SECTOR), 0, wanted.options, _make_nothing, reference, image, wanted.secret)


def _make_nothing(name: str) -> File:
    raise UsageError(f"{name}: no other file is made here")


def _refuse_existing(path: str, *, overwrite: bool) -> None:
    if overwrite or not os.path.exists(path):
        return
    what = _kind_of(path)
    raise UsageError(f"{path}: exists already{what}, and would be lost", hint="another name, or --overwrite")


def _kind_of(path: str) -> str:
    try:
        file = File.open(path, shared=True)
    except VirtkitError:
        return ""
    try:
        return f" ({catalog.detect(file)} image)"
    except VirtkitError:
        return " (raw disk, or no image at all)"
    finally:
        file.close()
