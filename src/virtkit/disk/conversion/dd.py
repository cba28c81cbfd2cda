"""Blocks of a disk as a new image, as ``qemu-img dd`` counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError
from virtkit.core.progress import Sink, silent
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.conversion import convert as conversion
from virtkit.disk.conversion import order, origin
from virtkit.disk.conversion.order import Order
from virtkit.disk.conversion.origin import Origin
from virtkit.disk.conversion.row import Part

if TYPE_CHECKING:
    from virtkit.disk.conversion.order import Converted
    from virtkit.disk.copying.source import Source


class Blocks(NamedTuple):
    size: int = 512  # bytes of a block
    limit: int | None = None  # where to end: counted from the start of the input, skipped ones included
    skip: int = 0  # blocks at the start that are left out

    def of(self, whole: Source) -> Part:
        """The stretch of ``whole``; empty where all is skipped."""
        if self.size < 1:
            raise UsageError(f"bs is {self.size}, expected 1 or more")
        end = whole.size if self.limit is None else min(self.limit * self.size, whole.size)
        return Part(whole, min(self.skip * self.size, end), end)


def dd(
    source: str,
    target: str,
    *,
    block: int = 512,
    count: int | None = None,
    skip: int = 0,
    source_format: str | None = None,
    target_format: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    access: Access = READ_ONLY,
    report: Sink = silent,
) -> Converted:
    """Blocks of the disk of ``source`` as the new image ``target``, which appears as ``convert``'s does.

    As ``qemu-img dd``: ``block`` in bytes; ``count`` blocks from the start of the input are looked at, and the first
    ``skip`` of them are left out. Where nothing is left, the new disk is empty.
    """
    with origin.opened(Origin((source,), source_format, access)) as whole:
        part = Blocks(block, count, skip).of(whole)
        format_ = order.format_of(target, target_format, existing=False)
        wanted = Order(target, format_, order.grown(part, None), {}, overwrite=overwrite)
        return conversion.carry_out(part, wanted, access, report, dry_run=dry_run)
