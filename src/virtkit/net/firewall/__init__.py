"""What the host's packet filters do to frames that a bridge forwards.

With br_netfilter loaded and bridge-nf-call-iptables set, what is bridged passes every chain of the hook
``forward`` as if it were routed (Documentation/networking/bridge.rst).
One that drops it is enough: no accept in another helps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.firewall import iptables, nftables
from virtkit.net.firewall.iptables import Iptables
from virtkit.net.firewall.nftables import Nftables

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.firewall.rules import Filter, Program

PROGRAMS: tuple[Program, ...] = (*map(Iptables, iptables.PROGRAMS), Nftables())


def filters(system: System) -> list[Filter]:
    """Those that this host's programs know of."""
    return [found for program in PROGRAMS for found in program.filters(system)]


def program(name: str) -> Program:
    return Nftables() if name == nftables.NAME else Iptables(name)
