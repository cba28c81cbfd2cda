"""Packets lost by the method that puts a host's only link under a bridge: docs/en/network.md says how to read it."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.network.methods import METHODS
from bench.network.trial import Trial, attempt
from netns import house
from netns import lab as labs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.network.methods import Method

DIRECTIONS = ("peer to host, IPv4", "peer to host, IPv6", "host to peer, IPv4", "host to peer, IPv6")


def main() -> int:
    args = _arguments().parse_args()
    _say(f"Linux {platform.release()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    _say(f"{args.runs} runs of each; {args.rate} pings a second of each family in each direction")
    _say("| method | " + " | ".join(f"lost ms, {way}" for way in DIRECTIONS) + " | TCP |")
    _say("|---|" + "---|" * (len(DIRECTIONS) + 1))
    with _house() as (folder, root):
        for name in args.methods or METHODS:
            trials = [_once(METHODS[name], folder, root, args.rate) for _ in range(args.runs)]
            _say(_row(METHODS[name], trials, args.rate))
            if args.verbose:
                for trial in trials:
                    _say(f"    {trial}")
    return 0


def _once(method: Method, folder: Path, root: Path, rate: int) -> Trial:
    """Namespaces of its own for each trial: nothing is left over from the one before."""
    lab = labs.Lab(f"vkb{os.getpid()}-host", f"vkb{os.getpid()}-gateway", folder / "state", root)
    labs.remove(lab)
    try:
        labs.build(lab)
        return attempt(lab, method, rate)
    finally:
        method.clear(lab)
        labs.remove(lab)


def _row(method: Method, trials: list[Trial], rate: int) -> str:
    """Lost milliseconds as least / median / most of the trials, per direction and family."""
    cells = []
    for way in range(len(DIRECTIONS)):
        lost = sorted(trial.tallies[way].lost * 1000 / rate for trial in trials)
        cells.append(f"{lost[0]:g} / {statistics.median(lost):g} / {lost[-1]:g}")
    alive = sum(trial.alive for trial in trials)
    return f"| {method.title} | {' | '.join(cells)} | {alive} of {len(trials)} alive |"


@contextmanager
def _house() -> Iterator[tuple[Path, Path]]:
    """A root for the host, with the daemons that are not installed here; and the folder that it shares with us."""
    with tempfile.TemporaryDirectory(prefix="virtkit-bench-") as name:
        folder = Path(name)
        shared = folder / "shared"
        shared.mkdir()
        try:
            yield shared, house.build(folder / "house", house.layer(folder / "layer"), [shared])
        finally:
            house.remove(folder / "house")
            house.remove(folder / "layer")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests/bench/network/run", description=__doc__)
    parser.add_argument("methods", nargs="*", metavar="METHOD", choices=[[], *METHODS], help=", ".join(METHODS))
    parser.add_argument("--runs", type=int, default=20, help="of each method")
    parser.add_argument("--rate", type=int, default=2000, help="pings a second, per direction and family")
    parser.add_argument("-v", "--verbose", action="store_true", help="each run by itself")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
