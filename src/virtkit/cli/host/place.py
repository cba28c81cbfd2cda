"""``virtkit host place``: which machine runs on which CPUs, as a picture, a table and a score, and then done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.host.placement.score import Score
    from virtkit.host.placement.wish import Policy, Seat
    from virtkit.recipes.placement.proposal import Proposal

_FAULTS = {  # of a score
    "unplaced": "machines that fit nowhere",
    "cross_node": "NUMA nodes beyond the fewest",
    "cross_package": "packages beyond the fewest",
    "cache_splits": "last-level caches beyond the fewest",
    "device_mismatch": "devices at another node",
    "stranded": "free cores in caches that are begun",
    "moves": "machines moved",
}


def build(parser: Arguments) -> None:
    parser.description = (
        "policies:\n"
        "  shared     vCPUs float in a node\n"
        "  dedicated  whole cores of its own, siblings are pairs of vCPUs\n"
        "  isolate    a whole core for each vCPU"
    )
    about = "a machine, with its policy or by the one that it is pinned by; without any: all that run, anew"
    parser.add_argument("machines", metavar="NAME[=POLICY]", nargs="*", help=about)
    parser.add_argument(
        "--housekeeping", metavar="CPUS", help="for the host and QEMU's other threads; else the first core of each node"
    )
    options.change(parser)
    parser.set_defaults(run=_place)


def _place(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.core.cpuset import parse_list
    from virtkit.core.system import System
    from virtkit.recipes.placement.proposal import propose

    kept = None if args.housekeeping is None else parse_list(args.housekeeping)
    proposal = propose(dict(map(_asked, args.machines)), System(), kept)
    if args.plan and console.json:
        console.data({**proposal.plan.data(), **_data(proposal)})
        return options.PLAN_HAS_CHANGES if proposal.plan else 0
    if not console.json:
        console.lines(_told(proposal))
    return carry_out(proposal.plan, args, console, told=lambda: _data(proposal))


def _asked(text: str) -> tuple[str, Policy | None]:
    from virtkit.host.placement.wish import POLICIES

    name, _, word = text.partition("=")
    policy = next((policy for policy in POLICIES if policy == word), None)
    if word and policy is None:
        raise UsageError(f"{name}: policy is {word!r}, expected one of {', '.join(POLICIES)}")
    return name, policy


def _told(proposal: Proposal) -> Iterator[str]:
    from virtkit.host.drawing import Scene, draw
    from virtkit.host.painting import paint

    painting = paint(proposal.tenants, proposal.host.topology.cpus)
    yield from draw(Scene(proposal.host.topology, painting.marks, proposal.host.devices))
    yield from painting.legend
    yield ""
    for name, seat in proposal.placement.seats.items():
        yield _seat(name, seat)
    yield from _score(proposal)


def _seat(name: str, seat: Seat) -> str:
    from virtkit.core.cpuset import format_list

    memory = format_list(seat.memory)
    iothreads = f", I/O threads on CPU {format_list(seat.emulator)}" if seat.iothreads else ""
    return (
        f"{name}: vCPUs on CPU {format_list(seat.cpus)}, emulator on CPU {format_list(seat.emulator)}"
        f"{iothreads}, memory on node {memory}"
    )


def _score(proposal: Proposal) -> Iterator[str]:
    placement = proposal.placement
    counts = [f"{count} {_FAULTS[name]}" for name, count in placement.score._asdict().items() if count]
    if placement.proved:
        verdict = "no plan is better (proved)"
    elif placement.score[:5] == placement.bound[:5]:
        verdict = f"no machine can fare better (proved); at least {_spelled(placement.bound)}"
    else:
        verdict = f"no plan is better than {_spelled(placement.bound)}; whether one is between is not known"
    yield f"score: {', '.join(counts) or 'no fault'}; {verdict}"


def _spelled(score: Score) -> str:
    return ", ".join(f"{count} {_FAULTS[name]}" for name, count in score._asdict().items() if count) or "no fault"


def _data(proposal: Proposal) -> dict[str, Json]:
    from virtkit.host.picture import data

    placement = proposal.placement
    return {
        "seats": {name: data(seat) for name, seat in placement.seats.items()},
        "score": data(placement.score),
        "bound": data(placement.bound),
        "proved": placement.proved,
        "moved": list(placement.moved),
        "short": [str(shortage) for shortage in placement.shortages],
    }
