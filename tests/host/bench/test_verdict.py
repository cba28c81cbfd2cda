from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.host.bench.verdict import FEWEST, Pair, judge

TIMES = st.floats(0.1, 1e4)
PAIRS = st.lists(st.builds(Pair, TIMES, TIMES), min_size=1, max_size=40)


def noisy(rounds: int, factor: float, spread: float, seed: int) -> list[Pair]:
    """Both sides ride on the same drift of the host; each has noise of its own."""
    chance = random.Random(seed)
    drift = [chance.lognormvariate(0, 0.5) for _ in range(rounds)]
    return [
        Pair(100 * each * chance.lognormvariate(0, spread), 100 * factor * each * chance.lognormvariate(0, spread))
        for each in drift
    ]


@given(PAIRS)
def test_the_other_way_round_it_is_the_opposite(pairs: list[Pair]) -> None:
    there, back = judge(pairs), judge([Pair(pair.b, pair.a) for pair in pairs])
    assert there.concluded == back.concluded
    assert (1 + there.change) * (1 + back.change) == pytest.approx(1, rel=1e-6)
    assert (there.a, there.b) == (back.b, back.a)


@given(PAIRS, st.sampled_from([1e-3, 1000.0]))
def test_the_unit_does_not_matter(pairs: list[Pair], unit: float) -> None:
    here, there = judge(pairs), judge([Pair(pair.a * unit, pair.b * unit) for pair in pairs])
    assert there.change == pytest.approx(here.change, rel=1e-6, abs=1e-9)


@given(PAIRS)
def test_the_change_lies_within_its_interval_and_is_json(pairs: list[Pair]) -> None:
    verdict = judge(pairs)
    assert verdict.low <= verdict.change <= verdict.high
    assert verdict.concluded is not (verdict.low <= 0 <= verdict.high)
    assert json.dumps(verdict.data(), allow_nan=False)


@given(st.lists(st.just(Pair(2.0, 1.0)), min_size=1, max_size=FEWEST - 1))
def test_a_few_pairs_prove_nothing_however_clear_they_look(pairs: list[Pair]) -> None:
    verdict = judge(pairs)
    assert not verdict.concluded
    assert verdict.more == FEWEST - len(pairs)
    assert judge([*pairs, *[Pair(2.0, 1.0)] * (verdict.more or 0)]).concluded


def test_a_clear_change_under_a_drifting_host_is_found_with_its_size() -> None:
    verdict = judge(noisy(12, 0.6, 0.05, seed=1))
    assert verdict.concluded
    assert verdict.change == pytest.approx(-0.4, abs=0.05)
    assert verdict.more is None


def test_no_change_is_concluded_from_noise_in_less_than_one_of_twenty() -> None:
    wrong = sum(judge(noisy(12, 1.0, 0.3, seed)).concluded for seed in range(2000))
    assert 20 < wrong < 100  # 3.9 % are what 12 pairs give: an interval that never errs would be too wide


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = sum((verdict := judge(noisy(15, 0.9, 0.2, seed))).low <= -0.1 <= verdict.high for seed in range(2000))
    assert 0.95 <= held / 2000 <= 0.98


def test_the_rounds_that_it_asks_for_are_mostly_enough() -> None:
    asked = enough = 0
    for seed in range(300):
        pairs = noisy(600, 0.95, 0.15, seed)
        verdict = judge(pairs[:12])
        if verdict.concluded or verdict.more is None or verdict.more > 588:
            continue
        asked += 1
        enough += judge(pairs[: 12 + verdict.more]).concluded
    assert asked > 100
    assert enough / asked > 0.4  # the guess stands on 12 noisy pairs


def test_one_wild_pair_does_not_turn_the_verdict() -> None:
    pairs = noisy(15, 0.7, 0.05, seed=3)
    assert judge([*pairs[1:], Pair(1.0, 1e6)]).concluded


def test_where_both_sides_are_the_same_no_number_of_rounds_is_named() -> None:
    verdict = judge([Pair(1.0, 1.0)] * 20)
    assert not verdict.concluded
    assert (verdict.more, verdict.noise) == (None, 0.0)
    assert math.isinf(judge([Pair(1.0, 2.0)]).high)
