"""Strict reverse path filtering where answers take another way (ip-sysctl.rst, rp_filter; RFC 3704)."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from virtkit.net.actions import SetSysctl
from virtkit.net.doctor.finding import Finding, Harm
from virtkit.net.doctor.scene import setting
from virtkit.net.model import IPV4

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.doctor.scene import Scene
    from virtkit.net.model import Link

STRICT, LOOSE = 1, "2"


class ReversePath:
    title = "does the host drop packets because the way back is another one?"

    def find(self, scene: Scene) -> Iterator[Finding]:
        for left, right in combinations(scene.network.links, 2):
            for network in sorted(_networks(scene, left) & _networks(scene, right)):
                strict = [link for link in (left, right) if _mode(scene, link) == STRICT]
                if strict and "bridge" in {left.kind, right.kind}:
                    yield _finding(network, left, right, strict)


def _networks(scene: Scene, link: Link) -> set[str]:
    return {address.network for address in scene.addresses(link) if address.family == IPV4 and not address.peer}


def _mode(scene: Scene, link: Link) -> int:
    """The larger of the link's and of all's, as the kernel takes it."""
    values = (scene.setting("ipv4", name, "rp_filter") for name in ("all", link.name))
    return max(int(value) if value.isdecimal() else 0 for value in values)


def _finding(network: str, left: Link, right: Link, strict: list[Link]) -> Finding:
    return Finding(
        "reverse_path",
        strict[0].name,
        Harm.MUTE,
        seen=f"{left.name} and {right.name} are both in {network}, and rp_filter is strict on "
        + " and ".join(link.name for link in strict),
        why="the kernel routes back by one of them, and drops what comes in by the other",
        mend=tuple(SetSysctl(setting("ipv4", link.name, "rp_filter"), LOOSE) for link in strict),
        advice=f"better: give one of them no address in {network}",
    )


CHECK = ReversePath()
