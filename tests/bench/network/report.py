"""Trials as lines of a file, and as the table that the bench prints."""

from __future__ import annotations

import json
import os
import statistics
from typing import TYPE_CHECKING, NamedTuple

from bench.network.methods import METHODS
from bench.network.trial import Trial
from netns.echo import Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DIRECTIONS = ("peer to host, IPv4", "peer to host, IPv6", "host to peer, IPv4", "host to peer, IPv6")
HEADING = (
    "| method | " + " | ".join(f"lost ms, {way}" for way in DIRECTIONS) + " | TCP session |",
    "|---|" + "---|" * (len(DIRECTIONS) + 1),
)


class Line(NamedTuple):
    method: str
    rate: int  # pings a second
    load: float
    trial: Trial


def line(method: str, rate: int, trial: Trial) -> str:
    told = {"method": method, "rate": rate, "load": os.getloadavg()[0], "alive": trial.alive, "took": trial.took}
    return json.dumps({**told, "tallies": [tally._asdict() for tally in trial.tallies]})


def read(text: str) -> list[Line]:
    found = []
    for entry in map(json.loads, text.splitlines()):
        trial = Trial([Tally(**tally) for tally in entry["tallies"]], entry["alive"], entry["took"])
        found.append(Line(entry["method"], entry["rate"], entry["load"], trial))
    return found


def table(lines: Sequence[Line]) -> Iterable[str]:
    """Lost milliseconds as least / median / most of a method's trials, per direction and family."""
    yield from HEADING
    for name, method in METHODS.items():
        mine = [line for line in lines if line.method == name]
        if not mine:
            continue
        cells = [_spread([line.trial.tallies[way].lost * 1000 / line.rate for line in mine]) for way in range(4)]
        alive = sum(line.trial.alive for line in mine)
        yield f"| {method.title} | {' | '.join(cells)} | lived in {alive} of {len(mine)} |"
    loads = [line.load for line in lines]
    yield f"load {min(loads):.1f} to {max(loads):.1f}" if loads else "no trials"


def _spread(lost: list[float]) -> str:
    return f"{min(lost):g} / {statistics.median(lost):g} / {max(lost):g}"
