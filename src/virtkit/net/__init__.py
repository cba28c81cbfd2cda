"""What this host's network is, and plans to change it.

``show`` returns data, the others return a Plan. Nothing here changes anything.
"""

from __future__ import annotations

from virtkit.net.bridge import plan_bridge, plan_delete_bridge, plan_move_to_bridge
from virtkit.net.ports import plan_add_port, plan_remove_port
from virtkit.net.view import View, show

__all__ = [
    "View",
    "plan_add_port",
    "plan_bridge",
    "plan_delete_bridge",
    "plan_move_to_bridge",
    "plan_remove_port",
    "show",
]
