"""Whether the backups are still what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import VirtkitError
from virtkit.core.progress import Sink, silent
from virtkit.recipes.backups import store
from virtkit.recipes.backups.digest import content

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.recipes.backups.store import Volume


Image = tuple[int, str]  # the number of its point, and its disk


class Verdict(NamedTuple):
    number: int
    disk: str
    fault: str  # empty: it reads as on the day that it was made


def verify(target: str, number: int | None = None, report: Sink = silent) -> tuple[Verdict, ...]:
    """Read every image of all points, each once; or of one point, with all that it stands on."""
    images = {(point.number, volume.target): volume for point in store.points(target) for volume in point.volumes}
    wanted = set(images)
    if number is not None:
        wanted = set(_down(images, [(number, volume.target) for volume in store.chosen(target, number).volumes]))
    return tuple(Verdict(*key, _fault(target, images, key, report)) for key in sorted(wanted))


def _down(images: dict[Image, Volume], keys: list[Image]) -> Iterator[Image]:
    """These and what they stand on. An image stands on an earlier one, or its note is wrong."""
    for top, disk in keys:
        above, number = top + 1, top
        while number < above and (number, disk) in images:
            yield number, disk
            above, number = number, images[number, disk].since


def _fault(target: str, images: dict[Image, Volume], key: Image, report: Sink) -> str:
    number, disk = key
    volume, file = images[key], store.image(target, number, disk)
    try:
        found = content(file, report)
    except VirtkitError as error:
        return error.message
    if found.size != volume.size:
        return f"{file}: size is {found.size}, expected {volume.size}"
    if found.digest != volume.digest:
        return f"{file}: SHA-256 of its content is {found.digest[:16]}, expected {volume.digest[:16]}"
    if volume.since and not (volume.since < number and (volume.since, disk) in images):
        return f"{file}: stands on backup {volume.since}, which is no earlier one that is there"
    below = store.below(volume.since, disk) if volume.since else ""
    return (
        "" if found.below == below else f"{file}: stands on {found.below or 'nothing'}, expected {below or 'nothing'}"
    )
