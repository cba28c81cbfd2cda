"""Records changed in place: only the bytes that differ are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtkit.disk.file import File


def write_changed(file: File, at: int, data: bytes) -> bool:
    """Make [at, at + len(data)) read as ``data``, from the first byte that differs to the last; whether any did."""
    old = file.read(at, len(data)).ljust(len(data), b"\0")
    if old == data:
        return False
    first = _common(old, data)
    last = len(data) - _common(old[:first:-1], data[:first:-1])
    file.write(at + first, data[first:last])
    return True


def _common(one: bytes, other: bytes) -> int:
    """How many bytes in front are the same, by halving."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
