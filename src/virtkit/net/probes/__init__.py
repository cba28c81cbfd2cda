"""Questions to what this host must still reach after its network was changed, each kind in a file of its own.

They are asked on the wire: what the kernel knows from memory (neighbours, names) would answer for the dead as well.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from virtkit.core.errors import NetworkError
from virtkit.net.kernel import Kernel
from virtkit.net.probes.arp import Arp
from virtkit.net.probes.dns import Dns
from virtkit.net.probes.ndp import Ndp
from virtkit.net.probes.probe import PATIENCE, Answer, Probe
from virtkit.net.probes.session import SshSession
from virtkit.net.probes.tcp import Tcp
from virtkit.net.probes.unique import Unique

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.net.model import Network

__all__ = ["Answer", "Arp", "Dns", "Ndp", "Probe", "SshSession", "Tcp", "Unique", "ask", "load"]

KINDS: dict[str, type[Probe]] = {kind.kind: kind for kind in (Arp, Dns, Ndp, SshSession, Tcp, Unique)}


def load(line: str) -> Probe:
    """What ``Probe.line`` wrote down."""
    kind, *fields = line.split()
    return KINDS[kind](*fields)


def ask(probes: Sequence[Probe], network: Network | None = None, patience: float = PATIENCE) -> list[Answer]:
    """All at the same time, in the caller's network namespace; ``patience`` is in seconds."""
    if not probes:
        return []
    if network is None:
        with Kernel() as kernel:
            network = kernel.network()
    until = time.monotonic() + patience
    with ThreadPoolExecutor(len(probes)) as threads:
        return list(threads.map(lambda probe: _asked(probe, network, until), probes))


def _asked(probe: Probe, network: Network, until: float) -> Answer:
    try:
        return probe.ask(network, until)
    except OSError as error:
        return Answer(well=False, said=f"{probe.describe()}: {(error.strerror or str(error)).lower()}")
    except NetworkError as error:
        return Answer(well=False, said=f"{probe.describe()}: {error}")
