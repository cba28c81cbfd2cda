"""What guardians and the boot unit are exec'ed as: Python without its ``site``, with the modules of who launched it.

``launched.py guardian|recovery ORDER``; the order is JSON: ``path`` of the modules, ``modules`` to load before anything
can go wrong, ``journal`` its directory, ``root`` of the system, ``number`` of the change.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

work, order = sys.argv[1], json.loads(sys.argv[2])
sys.path[:] = order["path"]
for name in order["modules"]:
    import_module(name)
import_module(f"virtkit.core.{work}").main(order["journal"], order["root"], order["number"])
