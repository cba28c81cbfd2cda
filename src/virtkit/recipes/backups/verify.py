"""Whether the backups are still what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import VirtkitError
from virtkit.core.progress import Sink, silent
from virtkit.recipes.backups import store
from virtkit.recipes.backups.digest import digest

if TYPE_CHECKING:
    from virtkit.recipes.backups.store import Volume


class Verdict(NamedTuple):
    number: int
    disk: str
    fault: str  # empty: it reads as on the day that it was made


def verify(target: str, number: int | None = None, report: Sink = silent) -> tuple[Verdict, ...]:
    """Read every image with all that it stands on; one point, or all of them."""
    chosen = store.points(target) if number is None else (store.chosen(target, number),)
    return tuple(
        Verdict(point.number, volume.target, _fault(target, point.number, volume, report))
        for point in chosen
        for volume in point.volumes
    )


def _fault(target: str, number: int, volume: Volume, report: Sink) -> str:
    file = store.image(target, number, volume.target)
    try:
        size, found = digest(file, report)
    except VirtkitError as error:
        return error.message
    if size != volume.size:
        return f"{file}: size is {size}, expected {volume.size}"
    if found != volume.digest:
        return f"{file}: SHA-256 of its content is {found[:16]}, expected {volume.digest[:16]}"
    return ""
