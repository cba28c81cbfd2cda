"""Internal snapshots as a table; their keys are qemu-img's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virtkit.cli.columns import width
from virtkit.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COLUMNS = ("id", "name", "machine's state", "date", "clock")


def lines(snapshots: Iterable[Mapping[str, object]]) -> list[str]:
    """Columns aligned by display width; without rich, whose import would take longer than all else of ``info``."""
    table = [COLUMNS, *_rows(snapshots)]
    widths = [max(map(width, column)) for column in zip(*table, strict=True)]
    return ["   ".join(map(_padded, row, widths)).rstrip() for row in table]


def _padded(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def _rows(snapshots: Iterable[Mapping[str, object]]) -> list[tuple[str, ...]]:
    return [
        (
            str(one["id"]),
            str(one["name"]),
            format_size(size) if (size := _number(one, "vm-state-size")) else "-",
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(_number(one, "date-sec"))),
            _clock(_number(one, "vm-clock-sec"), _number(one, "vm-clock-nsec")),
        )
        for one in snapshots
    ]


def _number(one: Mapping[str, object], key: str) -> int:
    value = one.get(key, 0)
    return value if isinstance(value, int) else 0


def _clock(seconds: int, nanoseconds: int) -> str:
    hours, rest = divmod(seconds, 3600)
    return f"{hours:02}:{rest // 60:02}:{rest % 60:02}.{nanoseconds // 1_000_000:03}"
