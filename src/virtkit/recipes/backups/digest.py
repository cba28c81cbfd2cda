"""What an image of a backup holds, as one number: of it alone, so that a backup costs what changed.

Together with what it stands on it is what the guest would read: each image of the chain has its own number.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from virtkit import disk
from virtkit.core.progress import Advanced, Finished, Started
from virtkit.core.units import MIB, round_down, round_up
from virtkit.disk.chain import Chain, open_image
from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.core.progress import Sink
    from virtkit.disk.format import Extent

ACCESS = disk.Access(allow_backing=True)


class Content(NamedTuple):
    size: int  # bytes that the guest sees
    digest: str
    below: str  # the image that it names as what it stands on; empty: none


def content(path: str, report: Sink) -> Content:
    """Read an image without what it stands on.

    The number is the SHA-256 of the size, of where it answers for itself (if it stands on another one), and of its
    blocks of 1 MiB that are not all zeros, each after its place: the same whatever is allocated for them.
    """
    step = f"read back {path}"
    with Chain([open_image(path, "qcow2", ACCESS)]) as image:
        backing = image.layers[0].image.backing
        total = hashlib.sha256(image.size.to_bytes(8, "big"))
        for edge in _edges(image.extents()) if backing else ():
            total.update(edge.to_bytes(8, "big"))
        report(Started(step, image.size))
        for start in _blocks(image.extents()):
            block = image.read(start, MIB)
            if block.count(0) != len(block):
                total.update(start.to_bytes(8, "big"))
                total.update(block)
            report(Advanced(step, min(start + MIB, image.size)))
        report(Finished(step))
        return Content(image.size, total.hexdigest(), backing.name if backing else "")


def _edges(extents: Iterable[Extent]) -> Iterator[int]:
    """Where it begins and where it ceases to answer for itself."""
    answers, end = False, 0
    for extent in extents:
        if answers != (extent.kind is not Kind.HOLE):
            answers = not answers
            yield extent.start
        end = extent.end
    if answers:
        yield end


def _blocks(extents: Iterable[Extent]) -> Iterator[int]:
    """Where blocks begin that may hold something."""
    begin = 0
    for extent in extents:
        if extent.kind in (Kind.DATA, Kind.CODED):
            end = round_up(extent.end, MIB)
            yield from range(max(round_down(extent.start, MIB), begin), end, MIB)
            begin = max(begin, end)
