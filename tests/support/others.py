"""Files that other projects wrote, kept beside the project and never in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ABSENT = "needs what others wrote: no such folder in $VIRTKIT_TEST_DATA, nor in shared/data above"


def find(name: str) -> Path | None:
    """``<name>`` in ``$VIRTKIT_TEST_DATA``, or in ``shared/data`` beside the checkout or above."""
    given = os.environ.get("VIRTKIT_TEST_DATA")
    places = [Path(given)] if given else [above / "shared/data" for above in Path(__file__).resolve().parents]
    return next((place / name for place in places if (place / name).is_dir()), None)


def folder(name: str) -> Path:
    """As ``find``; the test skips where they are absent."""
    found = find(name)
    if found is None:
        pytest.skip(f"{ABSENT}: {name}")
    return found
