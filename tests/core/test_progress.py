"""Rate and remaining time, on a clock of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.progress import Course, Started

if TYPE_CHECKING:
    from collections.abc import Sequence


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def course(*steps: tuple[float, int], total: int | None = 1000, done: int = 0) -> Course:
    """After ``steps`` of (seconds that pass, done by then)."""
    clock = Clock()
    made = Course(Started("copy", total, done), clock)
    for seconds, reached in steps:
        clock.now += seconds
        made.advance(reached)
    return made


def test_a_steady_course_ends_when_it_says() -> None:
    found = course(*[(1.0, done) for done in range(100, 600, 100)])
    assert (found.rate, found.eta, found.fraction) == (100.0, 5.0, 0.5)


def test_what_was_done_before_is_no_speed() -> None:
    found = course((1.0, 910), done=900)
    assert (found.rate, found.eta, found.fraction) == (10.0, 9.0, 0.91)


def test_the_rate_follows_a_change_within_seconds_but_not_at_once() -> None:
    fast = [(0.5, done) for done in range(500, 5500, 500)]
    one = course(*fast, (0.5, 5010), total=10**6)
    many = course(*fast, *[(0.5, 5000 + 10 * step) for step in range(1, 60)], total=10**6)
    assert 500 < one.rate < 1000
    assert many.rate == pytest.approx(20, rel=0.2)


def test_without_a_total_no_end_is_told() -> None:
    found = course((1.0, 10), total=None)
    assert (found.rate, found.eta, found.fraction) == (10.0, None, None)


def test_nothing_to_do_is_done() -> None:
    assert course(total=0).fraction == 1.0


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 1 << 62)), max_size=20), st.integers(0, 1 << 62))
def test_no_number_is_negative_or_out_of_range(steps: Sequence[tuple[float, int]], total: int) -> None:
    rising = sorted(done for _, done in steps)
    found = course(*((seconds, done) for (seconds, _), done in zip(steps, rising, strict=True)), total=total)
    assert found.rate >= 0
    assert found.eta is None or found.eta >= 0
    assert found.fraction is not None
    assert 0 <= found.fraction <= 1
