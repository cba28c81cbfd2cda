from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from virtkit.disk.copying import crew

if TYPE_CHECKING:
    from collections.abc import Iterator


class Recorder:
    """A hand that works for as long as its job says; fails in the job ``bad``."""

    def __init__(self, order: list[int], bad: int | None = None) -> None:
        self.order = order
        self.bad = bad
        self.job = 0

    def prepare(self, job: int) -> None:
        self.job = job
        time.sleep(0.001 * (job % 3))
        if job == self.bad:
            raise ValueError(job)

    def in_order(self) -> None:
        self.order.append(self.job)

    def complete(self) -> None:
        pass


def run(jobs: Iterator[int], hands: list[Recorder]) -> None:
    crew.run(jobs, hands, lambda: None)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_keeps_the_order_of_the_jobs_whatever_time_they_take(count: int) -> None:
    order: list[int] = []
    run(iter(range(50)), [Recorder(order) for _ in range(count)])
    assert order == list(range(50))


@pytest.mark.parametrize("count", [1, 3])
def test_a_failure_in_any_thread_reaches_the_caller_and_ends_all(count: int) -> None:
    order: list[int] = []
    threads = threading.active_count()
    with pytest.raises(ValueError, match="20"):
        run(iter(range(1000)), [Recorder(order, bad=20) for _ in range(count)])
    assert order == list(range(20))
    assert threading.active_count() == threads


@pytest.mark.parametrize("count", [1, 3])
def test_a_failure_in_the_list_of_jobs_reaches_the_caller(count: int) -> None:
    def jobs() -> Iterator[int]:
        yield from range(10)
        raise LookupError

    with pytest.raises(LookupError):
        run(jobs(), [Recorder([]) for _ in range(count)])


@pytest.mark.parametrize("count", [1, 2])
def test_the_caller_can_cancel_after_any_job(count: int) -> None:
    order: list[int] = []

    def cancel() -> None:
        if len(order) > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crew.run(iter(range(1000)), [Recorder(order) for _ in range(count)], cancel)
    assert len(order) < 1000


@pytest.mark.parametrize("count", [1, 2])
def test_without_jobs_the_caller_is_called_once(count: int) -> None:
    calls: list[int] = []
    crew.run(iter(()), [Recorder([]) for _ in range(count)], lambda: calls.append(threading.active_count()))
    assert calls == [threading.active_count()]
