"""What ``lvs`` and ``vgs`` report as JSON (lvmreport(7)): every value is a string; sizes are bytes, as we ask."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping


_Answer: TypeAlias = "dict[str, list[dict[str, list[dict[str, str]]]]]"

GROUP_FIELDS = ("vg_name", "vg_size", "vg_free", "vg_extent_size")
VOLUME_FIELDS = (
    *("vg_name", "lv_name", "lv_path", "lv_size", "lv_attr", "lv_uuid"),
    *("origin", "origin_size", "pool_lv", "data_percent", "metadata_percent"),
)


class Kind(Enum):
    PLAIN = "plain"
    SNAPSHOT = "snapshot"  # of a plain volume: has room for what changes
    THIN = "thin"
    POOL = "thin pool"
    OTHER = "other"  # mirrors, RAID, caches: a disk all the same


_KINDS = {  # by the first character of lv_attr, lvs(8)
    **dict.fromkeys("-oO", Kind.PLAIN),
    **dict.fromkeys("sS", Kind.SNAPSHOT),
    "V": Kind.THIN,
    "t": Kind.POOL,
}


class Group(NamedTuple):
    """A volume group; sizes in bytes."""

    name: str
    size: int
    free: int
    extent_size: int


class Volume(NamedTuple):
    """A logical volume; sizes in bytes."""

    group: str
    name: str
    path: str  # "" where it is no block device: a thin pool
    size: int  # of the disk
    kind: Kind
    uuid: str
    active: bool
    open: bool
    origin: str | None = None  # of the same group: what it is a snapshot of
    pool: str | None = None  # of the same group
    data_percent: float | None = None  # of its room that is in use: snapshots, thin volumes and pools
    metadata_percent: float | None = None  # thin pools
    reserved: int | None = None  # snapshots: room for what changes

    @property
    def full_name(self) -> str:
        return f"{self.group}/{self.name}"

    @property
    def thin(self) -> bool:
        return self.kind is Kind.THIN


def parse_groups(text: str) -> list[Group]:
    return sorted(
        Group(row["vg_name"], *(_size(row, name) for name in GROUP_FIELDS[1:]))
        for row in _rows(text, "vg", GROUP_FIELDS)
    )


def parse_volumes(text: str) -> list[Volume]:
    return sorted(map(_volume, _rows(text, "lv", VOLUME_FIELDS)), key=lambda volume: volume.full_name)


def _volume(row: Mapping[str, str]) -> Volume:
    attributes = row["lv_attr"].ljust(10, "-")
    kind, size = _KINDS.get(attributes[0], Kind.OTHER), _size(row, "lv_size")
    return Volume(
        row["vg_name"],
        row["lv_name"],
        row["lv_path"],
        _size(row, "origin_size") if kind is Kind.SNAPSHOT and row["origin_size"] else size,
        kind,
        row["lv_uuid"],
        active=attributes[4] == "a",
        open=attributes[5] == "o",
        origin=row["origin"] or None,
        pool=row["pool_lv"] or None,
        data_percent=_share(row["data_percent"]),
        metadata_percent=_share(row["metadata_percent"]),
        reserved=size if kind is Kind.SNAPSHOT else None,
    )


def _rows(text: str, name: str, fields: tuple[str, ...]) -> list[dict[str, str]]:
    """The reports' rows with all ``fields``; NotSupportedError where LVM answers something else."""
    try:
        answer: _Answer = json.loads(text)
        rows = [row for report in answer["report"] for row in report[name]]
        if all(isinstance(row[field], str) for row in rows for field in fields):
            return rows
    except (ValueError, KeyError, TypeError) as error:
        raise _strange(text, name, fields) from error
    raise _strange(text, name, fields)


def _strange(text: str, name: str, fields: tuple[str, ...]) -> NotSupportedError:
    return NotSupportedError(f"LVM: its report is {text[:80]!r}, expected JSON of {name} with {', '.join(fields)}")


def _size(row: Mapping[str, str], field: str) -> int:
    try:
        return int(row[field])
    except ValueError as error:
        raise NotSupportedError(f"LVM: {field} is {row[field]!r}, expected a number of bytes") from error


def _share(text: str) -> float | None:
    return float(text) if text else None
