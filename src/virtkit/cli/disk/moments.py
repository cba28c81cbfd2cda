"""Internal snapshots as a table; their keys are qemu-img's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virtkit.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COLUMNS = ("id", "name", "machine's state", "date", "clock")


def rows(snapshots: Iterable[Mapping[str, object]]) -> list[tuple[str, ...]]:
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
