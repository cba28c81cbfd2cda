"""Threads that take jobs from one list, do most of each side by side, and the rest in the order of the jobs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from virtkit.disk.copying.hands import Hand

J = TypeVar("J")


class _StoppedError(Exception):
    """Another hand failed; this one gives up."""


class Threads(Generic[J]):
    """What ``crew.run`` promises, for several hands. The caller's thread is one of them."""

    def __init__(self, jobs: Iterable[J], hands: Sequence[Hand[J]], after_job: Callable[[], None]) -> None:
        self._jobs = enumerate(jobs)
        self._hands = hands
        self._after_job = after_job
        self._taking = threading.Lock()
        self._order = threading.Condition()
        self._turn = 0  # number of the job whose in_order comes next; all before are through
        self._failure: BaseException | None = None
        self._looking = 0  # the thread that walks through the maps for the next job: that may take seconds

    def run(self) -> None:
        helpers = [threading.Thread(target=self._help, args=(hand,), daemon=True) for hand in self._hands[1:]]
        for helper in helpers:
            helper.start()
        try:
            self._work(self._hands[0], self._after_job)
        except _StoppedError:
            pass
        except BaseException as error:
            self._fail(error)
            self._call_back()
            raise
        finally:
            for helper in helpers:
                helper.join()
        if self._failure:
            raise self._failure
        self._after_job()

    def _help(self, hand: Hand[J]) -> None:
        try:
            self._work(hand, lambda: None)
        except _StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001  it is raised in the caller's thread
            self._fail(error)

    def _work(self, hand: Hand[J], after_job: Callable[[], None]) -> None:
        while True:
            with self._taking:
                number, job = self._look()
            if job is None or self._failure:
                return
            hand.prepare(job)
            self._await_turn(number)
            hand.in_order()
            self._pass_turn()
            hand.complete()
            after_job()

    def _look(self) -> tuple[int, J | None]:
        self._looking = threading.get_ident()
        try:
            return next(self._jobs, (-1, None))
        finally:
            self._looking = 0

    def _call_back(self) -> None:
        """Ends the walk of a helper, as Ctrl-C ended the caller's work: at its next instruction."""
        helper = self._looking
        if helper not in {0, threading.get_ident()}:
            from ctypes import c_ulong, py_object, pythonapi

            pythonapi.PyThreadState_SetAsyncExc(c_ulong(helper), py_object(_StoppedError))

    def _await_turn(self, number: int) -> None:
        with self._order:
            self._order.wait_for(lambda: self._failure or self._turn == number)
        if self._failure:
            raise _StoppedError

    def _pass_turn(self) -> None:
        with self._order:
            self._turn += 1
            self._order.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._order:
            self._failure = self._failure or error
            self._order.notify_all()
