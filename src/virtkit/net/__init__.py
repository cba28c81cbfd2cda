"""What this host's network is, and plans to change it.

``show`` returns data; ``plan_bridge`` and ``plan_delete_bridge`` return a Plan. Nothing here changes anything.
"""

from __future__ import annotations

from virtkit.net.bridge import plan_bridge, plan_delete_bridge
from virtkit.net.view import View, show

__all__ = ["View", "plan_bridge", "plan_delete_bridge", "show"]
