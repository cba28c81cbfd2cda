"""One image into another: choose the formats, lay out, copy, publish."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import SECTOR, round_up
from virtkit.disk import catalog, copy
from virtkit.disk.format import Blank
from virtkit.disk.newfile import NewFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtkit.core.progress import Sink
    from virtkit.disk.chain import Chain
    from virtkit.disk.format import Buffer, WritableFormat

LEVELS = ("fast", "balanced", "small")


class Order(NamedTuple):
    """What the new image shall be."""

    target: str
    format: str
    size: int  # bytes; of the guest's disk
    options: Mapping[str, str]
    level: str | None = None  # of compression; None: none
    overwrite: bool = False
    durable: bool = False


class Converted(NamedTuple):
    """What was made; sizes in bytes."""

    target: str
    format: str
    size: int
    allocated: int


def order(
    source: Chain,
    target: str,
    *,
    target_format: str | None,
    size: int | None,
    options: Mapping[str, str] | None,
    level: str | None,
    overwrite: bool,
    durable: bool,
) -> Order:
    """Everything that can be refused before a byte is written: UsageError, NotSupportedError."""
    name = target_format or catalog.from_suffix(target)
    catalog.require_options(name, catalog.load_writable(name), options or {})
    if level is not None and level not in LEVELS:
        raise UsageError(f"level is {level}, expected one of {', '.join(LEVELS)}")
    _keep_source(source, target)
    bigger = max(source.size, round_up(size or 0, SECTOR))
    return Order(target, name, bigger, options or {}, level, overwrite, durable)


def convert(source: Chain, wanted: Order, report: Sink) -> Converted:
    """Write ``wanted``; whatever is raised, nothing is left behind."""
    kind = catalog.load_writable(wanted.format)
    encode = _encoder(kind, wanted)
    with NewFile(wanted.target, overwrite=wanted.overwrite) as new:
        _write(source, kind, wanted, new, encode=encode, report=report)
        allocated = new.allocated
        new.publish(durable=wanted.durable)
    return Converted(wanted.target, wanted.format, wanted.size, allocated)


def _write(
    source: Chain,
    kind: WritableFormat,
    wanted: Order,
    new: NewFile,
    *,
    encode: Callable[[Buffer], bytes | None] | None,
    report: Sink,
) -> None:
    amount = copy.measure(source)
    share = encode is None and copy.can_share(source, new.file)
    blank = Blank(wanted.size, min(amount.room, wanted.size), wanted.options, new.beside, coded=encode is not None)
    writer = kind.writer(new.file, blank)
    copy.Copy(source, writer, new.file, wanted.size, amount).run(report, encode=encode, share=share)
    writer.finish()


def _encoder(kind: WritableFormat, wanted: Order) -> Callable[[Buffer], bytes | None] | None:
    if wanted.level is None:
        return None
    encode = kind.encoder(wanted.level, wanted.options)
    if encode is None:
        raise NotSupportedError(f"{wanted.format}: cannot be compressed", hint="-O qcow2")
    return encode


def _keep_source(source: Chain, target: str) -> None:
    if not os.path.exists(target):
        return
    there = os.stat(target)
    same = {(there.st_dev, there.st_ino), (there.st_rdev, -1)}
    if any(layer.image.file.identity in same for layer in source.layers):
        raise UsageError(f"{target}: is the source, or an image that it stands on", hint="another name")
