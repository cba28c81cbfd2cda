"""How many cases the tests that invent their cases try: few in ./test, as many as wanted with VIRTKIT_DEPTH=50."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark import MarkDecorator


def deep(few: int) -> int:
    return few * int(os.environ.get("VIRTKIT_DEPTH", "1"))


def only_deep(why: str) -> MarkDecorator:
    """For what takes too long for every run: it is left out where VIRTKIT_DEPTH is 1, as it is unless set."""
    return pytest.mark.skipif(deep(1) == 1, reason=f"{why}: set VIRTKIT_DEPTH=2")
