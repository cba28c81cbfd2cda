"""Who decides about a host's network from above: they tell NetworkManager, and tell it again.

nmstate.service applies /etc/nmstate/*.yml when the host starts. The handler of kubernetes-nmstate applies the cluster's
policies; its pod keeps a lock on the host (NMSTATE_INSTANCE_NODE_LOCK_FILE in its deploy/handler/operator.yaml). vdsm
restores what oVirt's engine has stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.naming import named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System

NMSTATE = "/etc/nmstate"
CLUSTER = "/var/k8s_nmstate"
VDSM = "/var/lib/vdsm/persistence/netconf"


def of(system: System, link: str) -> Iterator[str]:
    """Each with when it writes, and where to say otherwise."""
    for name in system.names(NMSTATE):
        path = f"{NMSTATE}/{name}"
        if name.endswith((".yml", ".yaml")) and named(link).search(system.read_or(path, "")):
            yield f"nmstate.service at the host's next start (so change {path}, too)"
    if system.exists(CLUSTER):
        yield "kubernetes-nmstate when the node starts or a policy changes (so change it there: kubectl get nncp)"
    if system.exists(VDSM):
        yield "oVirt's vdsm when the host starts (so change it in the engine)"
