"""Small images in the hands of what is made for millions of entries."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from virtkit.disk import bulk
from virtkit.disk.formats.qcow2 import widecounts

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def numpy_always(*, wanted: bool = True) -> Iterator[None]:
    """Batches of one table and pages of one refcount block, so that a small image has many of both."""
    if not wanted:
        yield
        return
    with (
        patch.multiple(bulk, pays=lambda *_: True, BATCH=1),
        patch.multiple(widecounts, _PAGE=1, _LONG=2, _MOST_WAITING=8, _MOST_PAGES=2),
    ):
        yield
