"""Disk images: what they are, what they hold, and how to turn one into another.

Every verb takes paths; ``source_format`` is the name of a format (``qcow2``), or None to tell it by the signature.
raw has no signature and must be said. All verbs raise the errors of ``virtkit.core.errors``, among them NotFoundError
(no such file), UnknownFormatError (no signature), ImageError (the signature is another format's),
CorruptImageError, NotSupportedError and SystemCallError.

``access`` says how an image is opened. It may name other files: they are opened if they lie in or below its
directory; elsewhere only with ``allow_backing``, which is for images whose maker you trust: ForbiddenReferenceError.
``trust_format`` opens an image as ``source_format`` although it carries another format's signature; ``secret`` is the
passphrase of encrypted images, ``parent`` the backing image in place of what the image says, ``shared`` opens it
although a running machine holds it (BusyError otherwise).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.progress import Sink, silent
from virtkit.disk.access import READ_ONLY, Access

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from virtkit.disk.benchmark import bench
    from virtkit.disk.chain import Chain
    from virtkit.disk.commitment import commit
    from virtkit.disk.compaction import compact
    from virtkit.disk.comparison import Comparison
    from virtkit.disk.conversion.convert import convert
    from virtkit.disk.conversion.dd import dd
    from virtkit.disk.conversion.enveloping import convert_in_place, take_back_in_place
    from virtkit.disk.conversion.measurement import measure
    from virtkit.disk.conversion.resuming import unfinished
    from virtkit.disk.creation import create
    from virtkit.disk.description import Info
    from virtkit.disk.dirtymaps import edit_bitmap
    from virtkit.disk.format import Checked, Format
    from virtkit.disk.growth import resize
    from virtkit.disk.history import (
        apply_snapshot,
        create_snapshot,
        delete_snapshot,
        find_snapshot,
        freed_by_deleting,
        snapshots,
    )
    from virtkit.disk.inspection import inspect
    from virtkit.disk.live import LiveChain
    from virtkit.disk.mapping import Entry
    from virtkit.disk.mending.amendment import amend
    from virtkit.disk.mending.repair import rehearse_repair, repair, take_back
    from virtkit.disk.rebasing import rebase

_ELSEWHERE = {
    "amend": "mending.amendment",
    "apply_snapshot": "history",
    "bench": "benchmark",
    "commit": "commitment",
    "compact": "compaction",
    "convert": "conversion.convert",
    "convert_in_place": "conversion.enveloping",
    "create": "creation",
    "create_snapshot": "history",
    "dd": "conversion.dd",
    "delete_snapshot": "history",
    "edit_bitmap": "dirtymaps",
    "find_snapshot": "history",
    "freed_by_deleting": "history",
    "inspect": "inspection",
    "measure": "conversion.measurement",
    "rebase": "rebasing",
    "rehearse_repair": "mending.repair",
    "repair": "mending.repair",
    "resize": "growth",
    "snapshots": "history",
    "take_back": "mending.repair",
    "take_back_in_place": "conversion.enveloping",
    "unfinished": "conversion.resuming",
}
"""Verb -> the module that has it: only the verb in hand is imported."""

__all__ = [
    "READ_ONLY",
    "Access",
    "amend",
    "apply_snapshot",
    "bench",
    "check",
    "commit",
    "compact",
    "compare",
    "convert",
    "convert_in_place",
    "create",
    "create_snapshot",
    "dd",
    "delete_snapshot",
    "edit_bitmap",
    "find_snapshot",
    "freed_by_deleting",
    "info",
    "info_chain",
    "inspect",
    "known_formats",
    "map",
    "measure",
    "open",
    "rebase",
    "rehearse_repair",
    "repair",
    "resize",
    "snapshots",
    "take_back",
    "take_back_in_place",
    "unfinished",
]


if not TYPE_CHECKING:  # a checker would believe that every name is here

    def __getattr__(name: str) -> object:
        """The verbs of ``_ELSEWHERE``."""
        from importlib import import_module

        if name not in _ELSEWHERE:
            raise AttributeError(f"module {__name__} has no attribute {name}")
        return getattr(import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)


@overload
def open(  # noqa: A001  disk.open, as gzip.open and tarfile.open
    path: str, mode: Literal["r"] = "r", source_format: str | None = None, access: Access = READ_ONLY
) -> Chain: ...
@overload
def open(  # noqa: A001  likewise
    path: str, mode: Literal["r+"], source_format: str | None = None, access: Access = READ_ONLY
) -> LiveChain: ...
def open(  # noqa: A001  likewise
    path: str, mode: Literal["r", "r+"] = "r", source_format: str | None = None, access: Access = READ_ONLY
) -> Chain:
    """The disk that a guest would see: ``size``, ``read(at, length)`` and ``extents(start, length)``, all in bytes.

    Mode ``r+`` gives a LiveChain, which also has ``write``, ``zero``, ``discard``, ``resize`` and ``flush``; backing
    images are not written. It is a context manager; ``close`` flushes and closes every file of the backing chain.
    """
    from virtkit.disk.chain import open_chain

    if mode == "r":
        return open_chain(path, source_format, access)
    if mode != "r+":
        raise UsageError(f"mode is {mode!r}, expected 'r' or 'r+'")
    from virtkit.disk.live import open_live

    return open_live(path, source_format, access)


def info(path: str, source_format: str | None = None, access: Access = READ_ONLY) -> Info:
    """What the image says of itself, also while a machine has it; files that it names are not opened."""
    from virtkit.disk.chain import open_image
    from virtkit.disk.description import describe

    layer = open_image(path, source_format, access._replace(shared=True))
    try:
        return describe(layer)
    finally:
        layer.image.close()


def info_chain(path: str, source_format: str | None = None, access: Access = READ_ONLY) -> list[Info]:
    """As ``info``, of the image and of every image that it stands on; ImageError where that goes in a circle."""
    from virtkit.disk.chain import close, open_layers
    from virtkit.disk.description import describe

    layers = open_layers(path, source_format, access._replace(shared=True), trust_heirs=True)
    try:
        return [describe(layer) for layer in layers]
    finally:
        close(layers)


def map(  # noqa: A001  qemu-img's word
    path: str,
    source_format: str | None = None,
    access: Access = READ_ONLY,
    *,
    start: int = 0,
    length: int | None = None,
) -> Iterator[Entry]:
    """Where every byte of the guest's disk is, in order; ``start`` and ``length`` in bytes, cut at the disk's end.

    The image is open until the last entry was taken.
    """
    from virtkit.disk.mapping import entries

    with open(path, "r", source_format, access) as chain:
        left = max(chain.size - start, 0)
        yield from entries(chain.extents(start, left if length is None else min(length, left)) if left else ())


def compare(
    left: str,
    right: str,
    *,
    left_format: str | None = None,
    right_format: str | None = None,
    strict: bool = False,
    access: Access = READ_ONLY,
    right_access: Access | None = None,
    report: Sink = silent,
) -> Comparison:
    """Whether a guest sees the same bytes; where one disk is longer, zeros count as nothing.

    ``strict`` also tells where one is allocated otherwise than the other. ``right_access``: of ``right``, where it
    differs from ``access``.
    """
    from virtkit.disk import comparison

    with (
        open(left, "r", left_format, access) as one,
        open(right, "r", right_format, right_access or access) as other,
    ):
        return comparison.compare(one, other, report, strict=strict)


def check(path: str, source_format: str | None = None, access: Access = READ_ONLY) -> Checked:
    """Hold the metadata of one image against each other; NotSupportedError where the format has none to check."""
    from virtkit.disk import catalog
    from virtkit.disk.chain import open_image
    from virtkit.disk.format import CheckableFormat, Checked

    layer = open_image(path, source_format, access)
    try:
        kind = catalog.load(layer.format)
        if not isinstance(kind, CheckableFormat):
            raise NotSupportedError(f"{path}: format {layer.format} has nothing to check")
        return Checked(layer.format, kind.check(layer.image))
    finally:
        layer.image.close()


def known_formats() -> dict[str, Format]:
    """By the name that users type; which of them can be written and checked is told by their types."""
    from virtkit.disk import catalog

    return catalog.load_all()
