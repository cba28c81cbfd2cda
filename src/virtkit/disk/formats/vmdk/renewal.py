"""The descriptor of an open image changed in place: as few bytes as can be, in one write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.disk.formats.vmdk import descriptor, parents, text
from virtkit.disk.formats.vmdk.descriptor import NO_PARENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.disk.file import File
    from virtkit.disk.formats.vmdk.descriptor import Descriptor, Line

_LONG_ID = "ddb.longContentID"  # ends with the content id


def store(file: File, old: Descriptor, new: str) -> Descriptor:
    """Write ``new`` where ``old`` stands; NotSupportedError where it is too long. Nothing is synced."""
    before, after = _bytes(old.text), _bytes(new)
    if len(after) > old.room:
        raise NotSupportedError(
            f"{file.name}: descriptor would have {len(after)} bytes, expected at most {old.room}",
            hint=f"virtkit disk convert {file.name} new.vmdk",
        )
    found = descriptor.parse(new, file, old.at, old.room)
    first = _alike(before, after)
    last = len(after) - (_alike(before[::-1], after[::-1]) if len(before) == len(after) else 0)
    if first < last or len(after) < len(before):
        file.write(old.at + first, after[first:last].ljust(len(before) - first if last == len(after) else 0, b"\0"))
    if not old.at and file.size > len(after):
        file.resize(len(after))
    return found


def with_new_cid(old: Descriptor) -> str:
    """As after every opening that writes: other images stand on the content with the old id."""
    written = old.pairs.get("CID", "")
    if not written:
        return old.text
    digits = len(written.lstrip("0")) or len(written)
    cid = text.new_cid(min(digits, 8))
    renewed = text.replaced(old.text, "CID", f"{cid:0{len(written)}x}")
    known = old.pairs.get(_LONG_ID, "")
    if known.lower().endswith(f"{old.cid:08x}"):
        renewed = text.replaced(renewed, _LONG_ID, f"{known[:-8]}{cid:08x}")
    return text.replaced(renewed, parents.CHANGE, text.new_uuid())  # only VirtualBox has that


def with_parent(old: Descriptor, name: str | None, cid: int) -> str:
    """``name`` None: none."""
    renewed = text.without(old.text, "parentFileNameHint")
    for key in (parents.PARENT_UUID, parents.PARENT_CHANGE):
        renewed = text.replaced(renewed, key, parents.NOBODY[-1])
    line = f"parentCID={NO_PARENT if name is None else cid:08x}"
    hint = [] if name is None else [text.hint(name)]
    renewed = text.without(renewed, "parentCID")
    place = re.search(r"^[ \t]*createType[^\n]*(?:\n|\Z)", renewed, re.MULTILINE)
    at = place.start() if place else 0
    return renewed[:at] + "\n".join([line, *hint, ""]) + renewed[at:]


def with_sizes(old: Descriptor, sectors: Sequence[int], more: Sequence[Line]) -> str:
    """The extents that have sectors get new numbers of them, those behind the last number go, ``more`` follow."""
    lines = old.text.split("\n")
    extents = [extent for extent in old.extents if extent.sectors]
    for extent, count in zip(extents, sectors, strict=False):
        found = re.sub(r"\d+", str(count), lines[extent.number - 1], count=1)
        lines[extent.number - 1] = found
    for extent in reversed(extents[len(sectors) :]):
        del lines[extent.number - 1]
    if extents:
        at = extents[min(len(sectors), len(extents)) - 1].number
        lines[at:at] = [text.line(extent) for extent in more]
    return _with_cylinders(old, "\n".join(lines), sum(sectors) + sum(extent.sectors for extent in more))


def _with_cylinders(old: Descriptor, described: str, sectors: int) -> str:
    heads, each = (old.pairs.get(f"ddb.geometry.{name}", "") for name in ("heads", "sectors"))
    adapter = old.pairs.get("ddb.adapterType", "ide")
    if not (heads.isdecimal() and each.isdecimal() and int(heads) and int(each)):
        return described
    most = text.MAX_IDE_CYLINDERS if adapter == "ide" else text.MAX_SCSI_CYLINDERS
    cylinders = min(sectors // (int(heads) * int(each)), most)
    return text.replaced(described, "ddb.geometry.cylinders", str(cylinders))


def _alike(one: bytes, other: bytes) -> int:
    """How many first bytes are the same."""
    return next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )


def _bytes(described: str) -> bytes:
    return described.encode(errors="surrogateescape")
