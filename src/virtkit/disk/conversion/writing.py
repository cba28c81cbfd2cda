"""One new image, from the source's bytes to the last byte of metadata. It has no name yet."""

from __future__ import annotations

import os
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.disk.conversion import order
from virtkit.disk.conversion.salvage import Salvage
from virtkit.disk.copying import copy, sharing
from virtkit.disk.copying.copy import Manner
from virtkit.disk.copying.source import LARGEST_UNIT
from virtkit.disk.format import Blank, EncodingFormat, GrainedFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from virtkit.core.progress import Sink
    from virtkit.disk.chain import Chain
    from virtkit.disk.conversion.order import Design, Order
    from virtkit.disk.conversion.resuming import Kept
    from virtkit.disk.copying.copy import Amount
    from virtkit.disk.copying.encoding import Encode
    from virtkit.disk.copying.overlay import Ground
    from virtkit.disk.copying.sharing import Donors
    from virtkit.disk.copying.source import Source
    from virtkit.disk.copying.straight import Doors
    from virtkit.disk.file import File
    from virtkit.disk.format import WritableFormat, Writer
    from virtkit.disk.newfile import NewFile

_SPARE = {"off", "metadata"}  # preallocations that leave the data's room to be shared


def write(source: Source, design: Design, new: NewFile, report: Sink, kept: Kept | None = None) -> None:
    """The disk of ``source`` in ``new``; on a backing image only what differs from that."""
    kind, wanted, below = design
    ground, encode = prepared(source, design)
    amount, lent = _found(source, design, new, kept)
    if kept:
        kept.begin(amount, share=bool(lent))
    blank = Blank(
        wanted.size,
        min(amount.room, wanted.size),
        wanted.options,
        _beside(source, design, new, kept),
        wanted.backing,
        below.layers[0].image if below else None,
        wanted.secret,
        coded=encode is not None,
    )
    writer: Writer = kind.writer(new.file, blank)
    whole = writer.unit
    if not encode:
        writer = _portioned(writer, wanted.size)
    if kept:
        writer = kept.keeper.replay(writer)
    manner = Manner(encode, lent, wanted.sparse, wanted.threads, wanted.rate, ground, kept.keeper if kept else None)
    with _doors(wanted) as doors:
        copy.Copy(source, amount, manner._replace(doors=doors, whole=whole)).run(writer, wanted.size, report)
    if kept:
        kept.keeper.write()
    writer.finish()


def _portioned(writer: Writer, size: int) -> Writer:
    """So that no unit is too large for a buffer."""
    if writer.unit <= LARGEST_UNIT:
        return writer
    from virtkit.disk.copying.portions import Portions

    return Portions(writer, size)


def _doors(wanted: Order) -> AbstractContextManager[Doors | None]:
    if not wanted.durable:
        return nullcontext()
    from virtkit.disk.copying.straight import Doors

    return closing(Doors())


def _found(source: Source, design: Design, new: NewFile, kept: Kept | None) -> tuple[Amount, Donors | None]:
    """What there is to move, and the files whose blocks may become blocks of ``new``; as before where work goes on."""
    kind, wanted, _ = design
    if kept and (before := kept.found()):
        amount, share = before
        return amount, sharing.everything(source, new.file) if share else None
    ground, encode = prepared(source, design)
    amount = copy.measure(source, unit_of(kind, wanted.options), ground=ground, dense=wanted.sparse == 0)
    if encode or not _may_share(source, wanted):
        return amount, None
    return amount, sharing.donors(source, new.file) or None


def _beside(source: Source, design: Design, new: NewFile, kept: Kept | None) -> Callable[[str], File]:
    """Makes the other files of the new image; none of them may take the place of what is read."""
    layers = [*source.layers, *(design.below.layers if design.below else ())]

    def create(name: str) -> File:
        order.keep(layers, os.path.join(os.path.dirname(design.wanted.target), name))
        made = new.beside(name)
        if kept:
            kept.record.file(name)
        return made

    return create


def prepared(source: Source, design: Design) -> tuple[Ground | None, Encode | None]:
    """What is copied onto the backing image, and what compresses; UsageError, NotSupportedError."""
    return ground_of(source, design.below), _encoder(design.kind, design.wanted)


def unit_of(kind: WritableFormat, options: Mapping[str, str]) -> int:
    """Bytes; the largest that there are where the format does not know before."""
    return kind.unit(options) if isinstance(kind, GrainedFormat) else LARGEST_UNIT


def ground_of(source: Source, below: Chain | None) -> Ground | None:
    """Where the new backing image is one of the source's own, all above it is copied; else the top image alone.

    So a backing image that is not in the source's chain has to hold what the source's own one holds, as for qemu-img.
    """
    if below is None:
        return None
    from virtkit.disk.copying.overlay import Ground

    base = below.layers[0].image.file.identity
    depths = [depth for depth, layer in enumerate(source.layers) if layer.image.file.identity == base]
    if depths == [0]:
        raise UsageError(f"{below.name}: is the source, and cannot be its own backing file")
    return Ground(depths[0] if depths else 1, below.size)


def _encoder(kind: WritableFormat, wanted: Order) -> Encode | None:
    level = wanted.level
    if isinstance(kind, EncodingFormat) and kind.must_encode(wanted.options):
        level = level or "default"
    if level is None:
        return None
    encode = kind.encoder(level, wanted.options)
    if encode is None:
        raise NotSupportedError(f"{wanted.format}: cannot be compressed", hint="-O qcow2")
    return encode


def _may_share(source: Source, wanted: Order) -> bool:
    """Not where the target's room is to be its own, or where reading is to be watched."""
    preallocation = wanted.options.get("preallocation", "off")
    watched = wanted.rate or wanted.sparse is not None or isinstance(source, Salvage)
    return wanted.secret is None and preallocation in _SPARE and not watched
