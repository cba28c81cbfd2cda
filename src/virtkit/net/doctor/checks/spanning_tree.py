"""STP and its forward delay: each new port is deaf for twice that time (IEEE 802.1D-1998, 8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net import adoption
from virtkit.net.actions import SetLink
from virtkit.net.doctor.finding import Finding, Harm
from virtkit.net.model import PORT_STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.plan import Action
    from virtkit.net.doctor.scene import Scene
    from virtkit.net.model import Link

DEAF = {"listening", "learning", "blocking"}  # it is up, and does not forward
PATIENCE = 9  # seconds that a DHCP client asks before it gives up: busybox's udhcpc, three times three


class SpanningTree:
    title = "is a port deaf because of the spanning tree protocol?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        """Not libvirt's own networks: with their delay of 2 s a guest is heard soon enough."""
        for bridge in scene.bridges:
            deaf = _deaf(scene, bridge)
            if adoption.silence(bridge) and (deaf or adoption.silence(bridge) > PATIENCE):
                yield _finding(bridge, deaf, [port.name for port in scene.uplinks(bridge)])


def _deaf(scene: Scene, bridge: Link) -> dict[str, str]:
    states = {port.name: PORT_STATES.get(scene.attribute(port, "brport/state"), "") for port in scene.ports(bridge)}
    return {name: state for name, state in states.items() if state in DEAF}


def _finding(bridge: Link, deaf: dict[str, str], uplinks: list[str]) -> Finding:
    seconds = adoption.silence(bridge)
    seen = f"STP is on, forward delay {seconds / 2:g} s"
    now = ", ".join(f"{name} is {state}" for name, state in deaf.items())
    loop = _loop(deaf, uplinks)
    return Finding(
        "spanning_tree",
        bridge.name,
        Harm.MUTE if deaf else Harm.WILL,
        seen=f"{seen}; now {now}" if deaf else seen,
        why=f"a guest that starts or is plugged in is deaf for {seconds:g} s, longer than its DHCP client waits",
        mend=() if loop else tuple(_mend(bridge, deaf)),
        advice=loop or "make it last where the bridge is configured (STP=no, stp: false, bridge_stp off)",
        caution=""
        if loop
        else f"{bridge.name}: without STP nothing stops a loop that guests close between two bridges",
    )


def _loop(deaf: dict[str, str], uplinks: list[str]) -> str:
    """What to do first where STP may be what keeps the LAN alive; empty where it has nothing to do."""
    if blocking := [name for name, state in deaf.items() if state == "blocking"]:
        return f"not mended: STP blocks {blocking[0]} because there is a loop; find it and pull one end out"
    if len(uplinks) > 1:
        return f"not mended: {' and '.join(uplinks)} may lead to one switch, and STP is what stops that loop"
    return ""


def _mend(bridge: Link, deaf: dict[str, str]) -> Iterator[Action]:
    """A deaf port would stay so until its timers end, though STP is off; one that is set up anew forwards at once."""
    yield SetLink(bridge.name, "stp", "off")
    for name in deaf:
        yield from (SetLink(name, "state", "down"), SetLink(name, "state", "up"))


CHECK = SpanningTree()
