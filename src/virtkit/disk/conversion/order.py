"""What a new image shall be and how it is made: asked for, checked, and what came of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError, UnknownFormatError, UsageError
from virtkit.core.units import MIB, SECTOR, format_size, round_up
from virtkit.disk import catalog
from virtkit.disk.file import File, at_home
from virtkit.disk.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from virtkit.disk.chain import Chain, Layer
    from virtkit.disk.copying.source import Source
    from virtkit.disk.format import Stretch, WritableFormat

MOST_THREADS = 16  # as qemu-img's
LARGEST_SPARSE = 16 * MIB  # likewise


class Order(NamedTuple):
    """What ``disk.convert`` was asked for; its docstring explains each."""

    target: str
    format: str
    size: int  # bytes; of the guest's disk
    options: Mapping[str, str]
    level: str | None = None  # of compression; None: none
    overwrite: bool = False
    durable: bool = False
    verify: bool = False
    backing: Reference | None = None
    secret: bytes | None = None  # of the target
    sparse: int | None = None  # bytes
    threads: int | None = None
    rate: int = 0  # bytes a second
    existing: bool = False
    is_zero: bool = False  # the target that is written in place
    bitmaps: bool = False
    skip_broken: bool = False  # bitmaps
    snapshots: bool = False
    snapshot: str | None = None  # of the source, that is written instead of its disk
    resume: bool = False


class Design(NamedTuple):
    """An order with all that is needed to carry it out."""

    kind: WritableFormat
    wanted: Order
    below: Chain | None  # the backing image of the new one, opened


class Converted(NamedTuple):
    """What was made; sizes in bytes."""

    target: str
    format: str
    size: int
    allocated: int
    lost: tuple[Stretch, ...] = ()  # what could not be read and is zeros now, in bytes of the disk
    left_out: tuple[str, ...] = ()  # bitmaps that are broken


def check(source: Source, wanted: Order) -> WritableFormat:
    """The new image's format. All that can be refused before a byte is written: UsageError, NotSupportedError."""
    kind = catalog.load_writable(wanted.format)
    catalog.require_options(wanted.format, kind, wanted.options)
    _check_manner(wanted)
    if wanted.skip_broken and not wanted.bitmaps:
        raise UsageError("--skip-broken-bitmaps: is about bitmaps that are copied", hint="--bitmaps")
    _check_compression(wanted)
    keep(source.layers, wanted.target)
    return kind


def backing(
    paths: Sequence[str], name: str | None, format_: str | None, options: Mapping[str, str]
) -> Reference | None:
    """From ``-B`` and ``-F``, or from qemu-img's ``-o backing_file=...,backing_fmt=...``."""
    name = name or options.get("backing_file")
    format_ = format_ or options.get("backing_fmt")
    if name is None:
        if format_:
            raise UsageError("-F: is the format of a backing file, and none is given", hint="-B FILE")
        return None
    if format_ is None:
        raise UsageError(f"{name}: format of the backing file is not said", hint="-F qcow2")
    if len(paths) > 1:
        raise UsageError("-B: several sources in a row have no backing file in common")
    return Reference(name, format_)


def without_backing(options: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name not in {"backing_file", "backing_fmt"}}


def format_of(target: str, given: str | None, *, existing: bool) -> str:
    """Said, by the suffix of a new image, or by the signature of one that exists."""
    if given is not None:
        return given
    if not existing:
        return catalog.from_suffix(target)
    file = File.open(target)
    try:
        return catalog.detect(file)
    except UnknownFormatError as error:
        error.hint = "if it is a raw disk, say so: -O raw"
        raise
    finally:
        file.close()


def grown(source: Source, size: int | None) -> int:
    """Bytes of the new disk."""
    return round_up(max(source.size, size or 0), SECTOR)


def _check_manner(wanted: Order) -> None:
    sparse, threads = wanted.sparse or 0, wanted.threads
    if sparse % SECTOR or not 0 <= sparse <= LARGEST_SPARSE:
        limit = format_size(LARGEST_SPARSE)
        raise UsageError(f"sparse size is {sparse} bytes, expected a multiple of {SECTOR} up to {limit}, or 0")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise UsageError(f"number of threads is {threads}, expected 1 to {MOST_THREADS}")
    if wanted.rate < 0:
        raise UsageError(f"rate is {wanted.rate}, expected bytes a second")


def _check_compression(wanted: Order) -> None:
    if wanted.level is None:
        return
    from virtkit.disk import codecs

    codecs.require_level(wanted.level)
    if is_encrypted(wanted.options):
        raise NotSupportedError(f"{wanted.format}: an image is compressed or encrypted, not both")
    if wanted.options.get("preallocation", "off") != "off":
        raise NotSupportedError(f"{wanted.format}: an image is compressed or preallocated, not both")


def is_encrypted(options: Mapping[str, str]) -> bool:
    return "encrypt.format" in options or options.get("encryption", "off") not in {"off", "no", "false"}


def keep(layers: Iterable[Layer], target: str) -> None:
    """UsageError where writing ``target`` would destroy what is read."""
    place = at_home(target)
    if not os.path.exists(place):
        return
    there = os.stat(place)
    same = {(there.st_dev, there.st_ino), (there.st_rdev, -1)}
    if any(file.identity in same for layer in layers for file in layer.image.files):
        raise UsageError(f"{target}: is the source, or an image that it stands on", hint="another name")
