"""Sizes as people write them, and the arithmetic of blocks."""

from __future__ import annotations

import re

from virtkit.core.errors import UsageError

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
SECTOR = 512  # bytes; the unit of VMDK, of partition tables and of the kernel's block layer

_SUFFIXES = "KMGTPE"
_SIZE = rf"(\d+)(?:\.(\d+))?\s*(?:B|([{_SUFFIXES}])(?:i?B)?)?"
_LARGEST = (1 << 63) - 1  # what off_t holds


def parse_size(text: str) -> int:
    """Bytes in ``10G``, ``1.5 GiB`` or ``4096``; units are 1024-based, as qemu-img's.

    Raises UsageError for anything else, and above 2**63 - 1.
    """
    found = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE | re.ASCII)
    if not found:
        raise UsageError(f"size is {text!r}, expected a number and K, M, G, T, P or E, as in 10G")
    whole, fraction, suffix = found.groups()
    unit = 1 << 10 * (_SUFFIXES.index(suffix.upper()) + 1) if suffix else 1
    size = int(whole) * unit
    if fraction:
        size += int(fraction) * unit // 10 ** len(fraction)
    if size > _LARGEST:
        raise UsageError(f"size is {text!r}, expected at most 8 EiB - 1")
    return size


def format_size(size: int) -> str:
    """``10 GiB``, ``1.31 GiB``, ``512 B``: three significant digits, 1024-based."""
    if size < KIB:
        return f"{size} B"
    value, index = size / KIB, 0
    while value >= 999.5 and index < len(_SUFFIXES) - 1:  # noqa: PLR2004  1000 would print as 1e+03
        value, index = value / KIB, index + 1
    return f"{value:.3g} {_SUFFIXES[index]}iB"


def round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def round_down(value: int, unit: int) -> int:
    return value // unit * unit


def divide_up(value: int, unit: int) -> int:
    return -(-value // unit)


def is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0
