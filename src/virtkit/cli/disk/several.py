"""Several images in one call: the program starts once, and one that is broken does not keep the others waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import VirtkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from virtkit.cli.show import Console

ABOUT = "one or more; with --output json, several give an array of what each alone would print, in their order"


def each(
    paths: Sequence[str],
    work: Callable[[str], int],
    console: Console,
    *,
    worst: Callable[[Iterable[int]], int] = max,
    apart: bool = False,
) -> int:
    """Do ``work``, which prints and returns an exit status, for every image; the status is the ``worst``.

    An image alone raises what ``work`` raises. Of several, an error is told in its place, and the next has its turn.
    ``apart``: for people, an empty line stands between them.
    """
    if len(paths) == 1:
        return work(paths[0])
    found = []
    for number, path in enumerate(paths):
        if console.json:
            console.write("," if number else "[")
        elif apart and number:
            console.line()
        found.append(_tried(path, work, console))
    if console.json:
        console.line("]")
    return worst(found)


def _tried(path: str, work: Callable[[str], int], console: Console) -> int:
    try:
        return work(path)
    except VirtkitError as error:
        console.error(error)
        return error.exit_status
