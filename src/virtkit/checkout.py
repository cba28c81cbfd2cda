"""What ``./virtkit`` runs: Python without its ``site`` (-S), a third of what a small command may take.

Of all that ``site`` looks for, a checkout needs two places, and knows them.
"""

from __future__ import annotations

import os
import sys

_HOME = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
_PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"

sys.path += [os.path.join(_HOME, "src"), os.path.join(_HOME, ".venv", "lib", _PYTHON, "site-packages")]

from virtkit.__main__ import run  # noqa: E402  found only now

run()
