"""From pairs of measurements to a verdict, or to the refusal of one.

A pair is both sides measured one right after the other, so that what burdens the host burdens both. What is judged is
the ratio of each pair. Its median comes with the interval that holds the true one with 95 % certainty, by the sign
test alone: exact for every distribution, so that no bell curve is assumed of latencies (Conover, Practical
Nonparametric Statistics, 3.2). The sides differ only if the whole interval lies on one side of "no change".
"""

from __future__ import annotations

from itertools import accumulate
from math import ceil, comb, exp, inf, log
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.plan import Json

SURE = 0.95
FEWEST = 6  # pairs: with less, not even all on one side are 95 %
MOST = 1000  # rounds more that are worth to be named


class Pair(NamedTuple):
    """The smaller the better: nanoseconds, microseconds. Above 0."""

    a: float
    b: float


class Verdict(NamedTuple):
    """Changes are of B against A: -0.4 means that B takes 40 % less."""

    pairs: int
    a: float  # median
    b: float
    change: float  # median of the pairs' changes
    low: float  # the true median of the changes lies between low and high, 95 % sure
    high: float
    more: int | None  # rounds that a conclusion would take besides, as it looks now; None: more than MOST, or concluded

    @property
    def concluded(self) -> bool:
        return self.low > 0 or self.high < 0

    @property
    def noise(self) -> float:
        """How far off the change may be, either way."""
        return max(self.high - self.change, self.change - self.low)

    def data(self) -> dict[str, Json]:
        """What is endless is null, for JSON has no word for it."""
        found = {**self._asdict(), "concluded": self.concluded, "noise": self.noise}
        return {key: None if value in {inf, -inf} else value for key, value in found.items()}


def judge(pairs: Sequence[Pair]) -> Verdict:
    """At least one pair."""
    ratios = sorted(log(pair.b / pair.a) for pair in pairs)
    middle = median(ratios)
    low, high = _interval(ratios)
    return Verdict(
        pairs=len(pairs),
        a=median(pair.a for pair in pairs),
        b=median(pair.b for pair in pairs),
        change=_change(middle),
        low=_change(low),
        high=_change(high),
        more=None if low > 0 or high < 0 else _more(len(pairs), middle, low, high),
    )


def _interval(ordered: Sequence[float]) -> tuple[float, float]:
    """From the k-th smallest to the k-th largest: k as large as coins allow that fall as often on one side."""
    count = len(ordered)
    tails = accumulate(comb(count, heads) for heads in range(count))
    k = sum(1 for tail in tails if 2 * tail <= (1 - SURE) * 2**count)
    return (ordered[k - 1], ordered[-k]) if k else (-inf, inf)


def _more(count: int, middle: float, low: float, high: float) -> int | None:
    """The interval shrinks with the root of the count; it has to end before "no change", and the change may shift."""
    if count < FEWEST:
        return FEWEST - count
    reach = middle - low if middle > 0 else high - middle
    if not middle or (needed := count * (reach / middle) ** 2) > MOST + count:
        return None
    return max(ceil(needed) - count, 1)


def _change(ratio: float) -> float:
    return exp(ratio) - 1
