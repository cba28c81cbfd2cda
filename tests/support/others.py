"""Files that other projects wrote, kept beside the project and never in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def folder(name: str) -> Path:
    """``shared/data/<name>`` above the checkout, or in ``$VIRTKIT_OTHERS``; skips where it is absent."""
    places = [Path(os.environ.get("VIRTKIT_OTHERS", "/nowhere"))]
    places += [above / "shared/data" for above in Path(__file__).resolve().parents]
    for place in places:
        if (place / name).is_dir():
            return place / name
    pytest.skip(f"needs the files of others: {name} in shared/data above the checkout, or $VIRTKIT_OTHERS")
