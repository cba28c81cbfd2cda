"""Frames between machines and the host's firewall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.advice.finding import Recommendation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.advice.case import Case
    from virtkit.host.advice.finding import Finding, Rule

_FRAMES = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")


def frames(case: Case) -> Iterator[Finding]:
    for name in _FRAMES:
        for row in case.at(name) if case.guests else ():
            if row.now == "1":
                why = "frames between machines go through the host's firewall: slower, and its rules may drop them"
                by_hand = "Docker and libvirt's nwfilter rely on it: only where neither is used"
                yield Recommendation(row, "0", why, by_hand=by_hand)


RULES: tuple[Rule, ...] = (frames,)
