"""Images into a new one: open all that takes part, write, prove, publish.

What not every conversion needs is imported where it is needed: a conversion may take less time than imports do.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.core.progress import Sink, silent
from virtkit.disk import nameless
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import Chain, open_chain
from virtkit.disk.conversion import order, origin, writing
from virtkit.disk.conversion.order import Converted, Design, Order
from virtkit.disk.conversion.origin import Origin
from virtkit.disk.conversion.salvage import Salvage
from virtkit.disk.format import LiveImage
from virtkit.disk.newfile import NewFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.disk.copying.source import Source


def convert(
    source: str | Sequence[str],
    target: str,
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    size: int | None = None,
    snapshot: str | None = None,
    backing: str | None = None,
    backing_format: str | None = None,
    compress: bool = False,
    level: str = "default",
    options: Mapping[str, str] | None = None,
    secret: bytes | None = None,
    sparse: int | None = None,
    threads: int | None = None,
    rate: int = 0,
    salvage: bool = False,
    existing: bool = False,
    is_zero: bool = False,
    overwrite: bool = False,
    durable: bool = False,
    verify: bool = False,
    bitmaps: bool = False,
    skip_broken_bitmaps: bool = False,
    snapshots: bool = False,
    resume: bool = False,
    dry_run: bool = False,
    access: Access = READ_ONLY,
    report: Sink = silent,
) -> Converted:
    """Write the disk of ``source`` and its backing images into the new, self-contained image ``target``.

    ``target`` appears when it is whole; after any error, Ctrl-C or SIGKILL there is nothing, and what stood there
    before is untouched. It replaces an existing file only with ``overwrite``; a block device is written in place.
    Several sources become one disk, one behind the other.

    ``target_format`` None: told by the suffix; UsageError if that says nothing.
    ``size``: bytes of the new disk; it only grows.
    ``snapshot``: id or name of the internal snapshot of ``source`` that is written instead of its disk.
    ``backing``: the new image holds only what ``source`` has above this image, whose name is kept in it as given; a
    relative one is looked for from the target's directory. It must hold what the source's own backing image holds.
    ``level`` of compression: fast, default or best. ``options`` are ``qemu-img -o``'s, UsageError where the format
    does not have one. ``secret``: passphrase of the new image, if the options ask for encryption.
    ``sparse``: bytes; shorter runs of zeros take room; 0: all zeros do. ``rate``: bytes a second.
    ``threads``: at most, 1 to 16; no more than processors compress or decode, and than 64 MiB of memory allow.
    ``salvage``: what cannot be read becomes zeros and is told in the answer.
    ``existing``: the disk of the existing image ``target`` is overwritten; ``is_zero``: it holds zeros so far.
    ``bitmaps``: the dirty bitmaps of ``source`` are kept; broken ones are an error or, with ``skip_broken_bitmaps``,
    left out and told in the answer. ``snapshots``: all internal snapshots are kept, the states of machines included;
    only the oldest state is compressed then.
    ``durable``: return when it is on stable storage. ``verify``: read it back before it appears, VerifyError where it
    differs. ``dry_run``: raise what would be refused, and write nothing. Whatever ``report`` raises cancels.
    ``resume``: what is done stays beside ``target`` when the work is interrupted, by SIGKILL and power cuts too, and
    the next call with the same arguments goes on from there; see ``unfinished``. ConflictError where a source changed.
    A full disk is a SystemCallError with its ``errno``.
    """
    paths = (source,) if isinstance(source, str) else tuple(source)
    reference = order.backing(paths, backing, backing_format, options or {})
    if snapshots and snapshot is not None:
        raise UsageError("--snapshots: keeps every state of the source, and -l takes one", hint="one of both")
    with origin.opened(Origin(paths, source_format, access, snapshot, salvage)) as found:
        wanted = Order(
            target,
            order.format_of(target, target_format, existing=existing),
            order.grown(found, size),
            order.without_backing(options or {}),
            level=level if compress else None,
            overwrite=overwrite,
            durable=durable,
            verify=verify,
            backing=reference,
            secret=secret,
            sparse=sparse,
            threads=threads,
            rate=rate,
            existing=existing,
            is_zero=is_zero,
            bitmaps=bitmaps,
            skip_broken=skip_broken_bitmaps,
            snapshots=snapshots,
            snapshot=snapshot,
            resume=resume,
        )
        return carry_out(found, wanted, access, report, dry_run=dry_run)


def carry_out(source: Source, wanted: Order, access: Access, report: Sink, *, dry_run: bool = False) -> Converted:
    """``access`` is for the backing image and for a target that exists. With ``dry_run`` nothing is written.

    Whatever is raised, no new image is left behind; one that is written in place is then half overwritten.
    """
    if wanted.existing or wanted.is_zero:
        from virtkit.disk.conversion import overwriting

        overwriting.check(wanted)
    kind = order.check(source, wanted)
    with ExitStack() as open_files:
        below = _below(wanted, access)
        if below:
            open_files.enter_context(below)
            order.keep(below.layers, wanted.target)
        design = Design(kind, wanted, below)
        _check(source, design)
        if dry_run:
            return _found_out(source, design, access)
        if wanted.existing:
            from virtkit.disk.conversion import overwriting

            made = overwriting.overwrite(source, design, access, report)
        else:
            made = _make(source, design, report)
    return made._replace(lost=source.lost) if isinstance(source, Salvage) else made


def _check(source: Source, design: Design) -> None:
    """What else can be refused before anything is written."""
    writing.prepared(source, design)
    if design.wanted.bitmaps:
        from virtkit.disk.conversion import carrying

        carrying.check(source, design.kind, design.wanted)
    if design.wanted.snapshots:
        from virtkit.disk.conversion import replay

        replay.check(source, design)
    if design.wanted.resume:
        from virtkit.disk.conversion import resuming

        resuming.check(source, design.wanted)


def _make(source: Source, design: Design, report: Sink) -> Converted:
    wanted = design.wanted
    if wanted.resume:
        from virtkit.disk.conversion import resuming

        with resuming.kept(source, design) as kept:
            writing.write(source, design, kept.new, report, kept)
            return _finish(source, design, kept.new, report)
    with NewFile(wanted.target, overwrite=wanted.overwrite) as new:
        if wanted.snapshots:
            from virtkit.disk.conversion import replay

            replay.write(replay.check(source, design), design, new, report)
        else:
            writing.write(source, design, new, report)
        return _finish(source, design, new, report)


def _finish(source: Source, design: Design, new: NewFile, report: Sink) -> Converted:
    """All that follows when the disk is written."""
    wanted = design.wanted
    left_out = _carry(source, design, new) if wanted.bitmaps else ()
    if wanted.verify:
        _prove(source, design, new, report)
    allocated = new.allocated
    new.publish(durable=wanted.durable)
    return Converted(wanted.target, wanted.format, wanted.size, allocated, left_out=left_out)


def _carry(source: Source, design: Design, new: NewFile) -> tuple[str, ...]:
    from virtkit.disk.conversion import carrying, unpublished

    target = unpublished.opened(design, new, writable=True)
    try:
        left_out = carrying.carry(source, target)
        if isinstance(target, LiveImage):
            target.flush()
        return left_out
    finally:
        target.close()


def _prove(source: Source, design: Design, new: NewFile, report: Sink) -> None:
    from virtkit.disk.conversion import proof

    proof.prove(source, design, new, report)
    if design.wanted.snapshots:
        from virtkit.disk.conversion import replay

        replay.prove(replay.check(source, design), design, new, report)


def _found_out(source: Source, design: Design, access: Access) -> Converted:
    """What the answer would be, as far as it is known without writing."""
    wanted = design.wanted
    if wanted.existing:
        from virtkit.disk.conversion import overwriting

        with overwriting.opened(source, wanted, access) as target:
            return Converted(wanted.target, target.format, target.size, 0)
    nameless.check(wanted.target, overwrite=wanted.overwrite)
    return Converted(wanted.target, wanted.format, wanted.size, 0)


def _below(wanted: Order, access: Access) -> Chain | None:
    """The backing image of the target, found as the target will find it."""
    if wanted.backing is None:
        return None
    path = os.path.join(os.path.dirname(wanted.target), wanted.backing.name)
    return open_chain(path, wanted.backing.format, access._replace(parent=None, trust_format=True))
