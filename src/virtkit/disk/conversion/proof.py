"""A new image read back and held against its source, before it gets its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import VerifyError
from virtkit.disk import comparison
from virtkit.disk.conversion import unpublished
from virtkit.disk.format import CheckableFormat

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.disk.conversion.order import Design
    from virtkit.disk.copying.source import Source
    from virtkit.disk.format import Image
    from virtkit.disk.newfile import NewFile


def prove(source: Source, design: Design, new: NewFile, report: Sink) -> None:
    """VerifyError where the guest would see other bytes than in ``source``, or the metadata have a fault."""
    kind, wanted, _ = design
    made = unpublished.chain(design, new)
    try:
        if made.size != wanted.size:
            raise VerifyError(wanted.target, f"its size is {made.size} bytes, expected {wanted.size}")
        found = comparison.compare(source, made, report)
        if found.offset is not None:
            raise VerifyError(wanted.target, f"it differs from its source at byte {found.offset:#x}")
        if isinstance(kind, CheckableFormat):
            _check(kind, made.layers[0].image, wanted.target)
    finally:
        made.layers[0].image.close()


def _check(kind: CheckableFormat, image: Image, target: str) -> None:
    findings = kind.check(image)
    if findings.corruptions or findings.leaks:
        first = findings.details[0] if findings.details else "no details"
        raise VerifyError(target, f"{findings.corruptions} errors and {findings.leaks} leaks in its metadata ({first})")
