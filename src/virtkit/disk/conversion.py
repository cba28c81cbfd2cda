"""Images into a new one: open all that takes part, write, prove, publish."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from virtkit.disk import inplace, newfile, order, proof, writing
from virtkit.disk.chain import Chain, open_chain
from virtkit.disk.newfile import NewFile
from virtkit.disk.order import Converted, Design
from virtkit.disk.salvage import Salvage

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.disk.access import Access
    from virtkit.disk.order import Order
    from virtkit.disk.source import Source


def convert(source: Source, wanted: Order, access: Access, report: Sink, *, rehearse: bool = False) -> Converted:
    """``access`` is for the backing image and for a target that exists. With ``rehearse`` nothing is written.

    Whatever is raised, no new image is left behind; one that is written in place is then half overwritten.
    """
    inplace.check(wanted)
    kind = order.check(source, wanted)
    with ExitStack() as open_files:
        below = _below(wanted, access)
        if below:
            open_files.enter_context(below)
        if rehearse:
            return _rehearsed(source, Design(kind, wanted, below), access)
        if wanted.in_place:
            made = inplace.overwrite(source, wanted, below, access, report)
        else:
            made = _make(source, Design(kind, wanted, below), report)
    return made._replace(lost=source.lost) if isinstance(source, Salvage) else made


def _make(source: Source, design: Design, report: Sink) -> Converted:
    wanted = design.wanted
    with NewFile(wanted.target, overwrite=wanted.overwrite) as new:
        writing.write(source, design, new, report)
        if wanted.verify:
            proof.prove(source, design, new, report)
        allocated = new.allocated
        new.publish(durable=wanted.durable)
    return Converted(wanted.target, wanted.format, wanted.size, allocated)


def _rehearsed(source: Source, design: Design, access: Access) -> Converted:
    """What can be found out without writing."""
    wanted = design.wanted
    writing.prepared(source, design)
    if wanted.in_place:
        with inplace.opened(source, wanted, access) as target:
            return Converted(wanted.target, target.format, target.size, 0)
    newfile.check(wanted.target, overwrite=wanted.overwrite)
    return Converted(wanted.target, wanted.format, wanted.size, 0)


def _below(wanted: Order, access: Access) -> Chain | None:
    """The backing image of the target, found as the target will find it."""
    if wanted.backing is None:
        return None
    path = os.path.join(os.path.dirname(wanted.target), wanted.backing.name)
    return open_chain(path, wanted.backing.format, access._replace(parent=None, trust_format=True))
