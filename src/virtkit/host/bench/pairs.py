"""Two sides measured in turns, so that what burdens the host burdens both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.progress import Advanced, Finished, Started
from virtkit.host.bench.verdict import Pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.progress import Sink


def take(measure: Callable[[str], float], a: str, b: str, rounds: int, report: Sink) -> list[Pair]:
    """One round more than asked: the first warms up and does not count. Each begins with the other side.

    A clock that saw nothing pass is told 1 ns, for ratios need something.
    """
    step = f"measure {a} and {b} in turns"
    report(Started(step, rounds + 1, unit="rounds"))
    pairs = []
    for number in range(rounds + 1):
        order = (a, b) if number % 2 else (b, a)
        found = {side: max(measure(side), 1e-3) for side in order}
        pairs.append(Pair(found[a], found[b]))
        report(Advanced(step, number + 1))
    report(Finished(step))
    return pairs[1:]
