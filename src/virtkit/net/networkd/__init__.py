"""systemd-networkd as it runs here: what it says of a link, and how it takes over what it finds.

For every backend whose files end up with it. No bus is asked for its state: it writes that to ``/run/systemd/netif``.
"""

from __future__ import annotations
