"""STP and its forward delay: each new port is deaf for twice that time (IEEE 802.1D-1998, 8.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.actions import SetLink
from virtkit.net.doctor.finding import Finding, Harm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene
    from virtkit.net.model import Link

STATES = {"1": "listening", "2": "learning", "4": "blocking"}  # BR_STATE_*: what does not forward though it is up
HUNDREDTHS = 100  # of a second: the kernel's unit here


class SpanningTree:
    title = "is a port deaf because of the spanning tree protocol?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for bridge in scene.bridges:
            if bridge.bridge and bridge.bridge.stp:
                yield _finding(bridge, bridge.bridge.forward_delay / HUNDREDTHS, _deaf(scene, bridge))


def _deaf(scene: Scene, bridge: Link) -> dict[str, str]:
    states = {port.name: scene.attribute(port, "brport/state") for port in scene.ports(bridge)}
    return {name: STATES[state] for name, state in states.items() if state in STATES}


def _finding(bridge: Link, delay: float, deaf: dict[str, str]) -> Finding:
    """A deaf port would stay so until its timers end, though STP is off; one that is set up anew forwards at once."""
    seen = f"STP is on, forward delay {delay:g} s"
    now = ", ".join(f"{name} is {state}" for name, state in deaf.items())
    return Finding(
        "spanning_tree",
        bridge.name,
        Harm.MUTE if deaf else Harm.WILL,
        seen=f"{seen}; now {now}" if deaf else seen,
        why=f"a guest that starts or is plugged in is deaf for {2 * delay:g} s, longer than its DHCP client waits",
        mend=(
            SetLink(bridge.name, "stp", "off"),
            *(SetLink(name, "state", state) for name in deaf for state in ("down", "up")),
        ),
        advice="make it last where the bridge is configured (STP=no, stp: false, bridge_stp off)",
        caution=f"{bridge.name}: STP is what stops a loop where two ports lead to the same switch; keep it there",
    )


CHECK = SpanningTree()
