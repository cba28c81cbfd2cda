"""Where a new image's bytes come from: the sources as they are opened together."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError
from virtkit.disk.chain import open_chain
from virtkit.disk.conversion.salvage import Salvage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.access import Access
    from virtkit.disk.copying.source import Source


class Origin(NamedTuple):
    paths: tuple[str, ...]  # one behind the other
    format: str | None  # of all of them
    access: Access
    snapshot: str | None = None  # id or name; of the only one
    salvage: bool = False  # what cannot be read is zeros


@contextmanager
def opened(origin: Origin) -> Iterator[Source]:
    if not origin.paths:
        raise UsageError("no source is given")
    if origin.snapshot is not None and len(origin.paths) > 1:
        raise UsageError("-l: snapshots of several sources cannot be put in a row", hint="one source")
    with _opened(origin) as source:
        yield Salvage(source) if origin.salvage else source


@contextmanager
def _opened(origin: Origin) -> Iterator[Source]:
    if len(origin.paths) > 1:
        from virtkit.disk.conversion.row import open_row

        with open_row(origin.paths, origin.format, origin.access) as row:
            yield row
        return
    with open_chain(origin.paths[0], origin.format, origin.access) as chain:
        if origin.snapshot is None:
            yield chain
            return
        from virtkit.disk.conversion import view

        yield view.at(chain, origin.snapshot)
