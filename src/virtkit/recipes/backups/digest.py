"""What a guest would read from an image, as one number: the same whatever is allocated, and in which image."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from virtkit import disk
from virtkit.core.progress import Advanced, Finished, Started
from virtkit.core.units import MIB, round_down, round_up
from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.progress import Sink
    from virtkit.disk.chain import Chain

ACCESS = disk.Access(allow_backing=True)


def digest(path: str, report: Sink) -> tuple[int, str]:
    """(bytes of the disk, SHA-256 of its blocks of 1 MiB that are not all zeros, each after its number)."""
    step = f"read back {path}"
    with disk.open(path, "r", "qcow2", ACCESS) as chain:
        report(Started(step, chain.size))
        total = hashlib.sha256(chain.size.to_bytes(8, "big"))
        for start in _blocks(chain):
            block = chain.read(start, MIB)
            if block.count(0) != len(block):
                total.update(start.to_bytes(8, "big"))
                total.update(block)
            report(Advanced(step, min(start + MIB, chain.size)))
        report(Finished(step))
        return chain.size, total.hexdigest()


def _blocks(chain: Chain) -> Iterator[int]:
    """Where blocks begin that may hold something."""
    begin = 0
    for extent in chain.extents(0, chain.size):
        if extent.kind in (Kind.DATA, Kind.CODED):
            end = round_up(extent.end, MIB)
            yield from range(max(round_down(extent.start, MIB), begin), end, MIB)
            begin = max(begin, end)
