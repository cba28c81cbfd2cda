"""What the documents say of cache modes is what we believe; tests/guest/test_cache_modes.py holds that against QEMU."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.host.cachemodes import MODES

DOCS = Path(__file__).parents[2] / "docs"
COUNTS = st.integers(0, 1000)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_table_of_the_documents_is_ours(language: str) -> None:
    text = (DOCS / language / "cache-modes.md").read_text()
    rows = re.findall(
        r"^\| (\w+) \| (O_RDWR[\w, ]*) \| (write \w+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE
    )
    assert rows == [
        (
            mode.name,
            "O_RDWR, O_DIRECT" if mode.direct else "O_RDWR",
            mode.told,
            *map(str, (40, 20, 40, mode.host_flushes(writes=40, flushes=20))),
        )
        for mode in MODES
    ]


@given(COUNTS, COUNTS)
def test_no_mode_but_unsafe_flushes_less_than_the_guest_asks(writes: int, flushes: int) -> None:
    """A flush that is asked for follows a write: a guest that was told "write through" has it with that write."""
    short = [mode.name for mode in MODES if mode.host_flushes(writes + flushes, flushes) < flushes]
    assert short == (["unsafe"] if flushes else [])
