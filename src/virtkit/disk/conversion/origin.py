"""Where a new image's bytes come from: the sources as they are opened together."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError
from virtkit.disk.conversion import view
from virtkit.disk.conversion.row import open_row
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
    with open_row(origin.paths, origin.format, origin.access) as row:
        source: Source = row.chains[0] if len(row.chains) == 1 else row
        if origin.snapshot is not None:
            source = view.at(row.chains[0], origin.snapshot)
        yield Salvage(source) if origin.salvage else source
