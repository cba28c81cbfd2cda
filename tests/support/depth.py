"""How many cases the tests that invent their cases try: few in ./test, as many as wanted with VIRTKIT_DEPTH=50."""

from __future__ import annotations

import os


def deep(few: int) -> int:
    return few * int(os.environ.get("VIRTKIT_DEPTH", "1"))
