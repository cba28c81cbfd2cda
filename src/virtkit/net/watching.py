"""What is watched while a link's addresses and routes move, found out when the plan is made, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.system import is_root
from virtkit.net import probes, session
from virtkit.net.actions import Watch
from virtkit.net.model import IPV4, MAIN_TABLE
from virtkit.net.probes import dns, tcp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.system import System
    from virtkit.net.model import Network
    from virtkit.net.probes import Probe
    from virtkit.net.standing import Side

MOST_GATEWAYS = 8  # of one link; those of default routes first
MOST_ADDRESSES = 16  # that are asked for twins
NOTHING = "nothing beyond this host is watched during the move; name something that has to answer: --check HOST:PORT"


class Watching(NamedTuple):
    action: Watch
    notes: tuple[str, ...]


def plan(
    system: System,
    network: Network,
    side: Side,
    target: str,
    checks: Sequence[str],
    *,
    joins: bool,
    silence: float = 0.0,
) -> Watching:
    """``side`` gives all to the link ``target``; for ``silence`` seconds then nothing answers.

    What does not answer now is told, and never blamed on the move.

    UsageError and NotFoundError for one of ``checks``.
    """
    port, bridge = (side.name, target) if joins else (target, side.name)
    found = [
        *gateways(side, port, bridge),
        *(dns.Dns(server, port, bridge) for server in dns.servers(system)),
        *_sessions(system, side),
        *map(tcp.parse, checks),
    ]
    twins = [probes.Unique(address.local, port, bridge) for address in side.addresses if address.family == IPV4]
    asked = [probe for probe in [*found, *twins[:MOST_ADDRESSES]] if is_root() or not probe.privileged]
    answers = dict(zip(asked, probes.ask(asked, network), strict=True))
    watched = [probe for probe in found if probe not in answers or answers[probe].well]
    moving = side.address_lines(), side.route_lines(), side.policy_lines()
    action = Watch(port, bridge, joins, *moving, probes=[probe.line() for probe in watched], silence=silence)
    return Watching(action, tuple(_notes(found, answers)))


def gateways(side: Side, port: str, bridge: str) -> list[Probe]:
    """Of every route of the link, each once."""
    default_first = sorted(side.routes, key=lambda route: (route.destination != "default", route.table != MAIN_TABLE))
    hops = [hop.gateway for route in default_first for hop in route.nexthops if hop.index == side.index and hop.gateway]
    known = list(dict.fromkeys(hops))[:MOST_GATEWAYS]
    return [(probes.Ndp if ":" in gateway else probes.Arp)(gateway, port, bridge) for gateway in known]


def _sessions(system: System, side: Side) -> Iterator[Probe]:
    """Only the one that goes over the link: the others are not at risk."""
    found = session.find(system)
    if found and found.over(side) and not found.scope:
        client, server = found.client, found.server
        yield probes.SshSession(client.address, str(client.port), server.address, str(server.port))


def _notes(found: Sequence[Probe], answers: dict[Probe, probes.Answer]) -> Iterator[str]:
    for probe in found:
        if probe not in answers:
            yield f"will be watched during the move, if it answers then: {probe.describe()}"
        elif answers[probe].well:
            yield f"watched during the move: {answers[probe].said}"
        else:
            yield f"does not work now, so it is not watched: {answers[probe].said}"
    for probe, answer in answers.items():
        if probe not in found and answer.well is False:
            yield f"in use twice already: {answer.said}"
    if not any(probe not in answers or answers[probe].well for probe in found):
        yield NOTHING
