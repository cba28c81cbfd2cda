"""How fast an image answers requests of one size, one after the other or several at once: peer of ``qemu-img bench``.

The page cache is as it is: what was read before is read from memory.
"""

from __future__ import annotations

import threading
import time
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import UsageError
from virtkit.core.units import KIB
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import Chain, open_chain
from virtkit.disk.live import LiveChain, open_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_AT_ONCE = 256  # requests; each has a thread
_FINE = 7  # bits of a latency that are kept: two that differ by less than 1/64 count as the same


class Load(NamedTuple):
    """What is asked of the disk; the names and the order of requests are those of ``qemu-img bench``."""

    requests: int = 75_000
    size: int = 4 * KIB  # bytes of each
    step: int = 0  # bytes from the start of one request to that of the next; 0: ``size``
    offset: int = 0  # bytes; where the first one starts
    depth: int = 1  # requests at once
    write: bool = False
    pattern: int = 0  # the byte that is written
    flush_interval: int = 0  # requests between two flushes, counted from the last one; 0: none
    drain: bool = True  # a flush waits until no request is under way, and requests wait for it
    seed: int | None = None  # not None: anywhere, at multiples of ``size``; the same places for the same seed

    def check(self, disk: int) -> None:
        """UsageError where a disk of that many bytes cannot be asked so."""
        for name, value, least, most in (
            ("count", self.requests, 1, (1 << 31) - 1),
            ("buffer size", self.size, 1, min(disk, (1 << 31) - 1)),
            ("step", self.step, 0, (1 << 63) - 1),
            ("offset", self.offset, 0, disk - self.size),
            ("depth", self.depth, 1, MOST_AT_ONCE),
            ("pattern", self.pattern, 0, 255),
        ):
            if not least <= value <= most:
                raise UsageError(f"{name} is {value}, expected {least} to {most}")
        if self.flush_interval and not self.write:
            raise UsageError("flush interval is given, and nothing is written", hint="-w")
        if 0 < self.flush_interval < self.depth:
            raise UsageError(f"flush interval is {self.flush_interval}, expected at least the depth, {self.depth}")

    def places(self, disk: int) -> Callable[[int], int]:
        """Number of a request -> where it starts. What would reach past the disk's end starts at 0 instead."""
        last, step, offset, size = disk - self.size, self.step or self.size, self.offset, self.size
        if self.seed is not None:
            draw, slots = Random(self.seed).random, disk // size  # noqa: S311  nothing is kept secret by it
            return lambda _number: int(draw() * slots) * size

        def place(number: int) -> int:
            at = (offset + number * step) % disk
            return at if at <= last else 0

        return place

    def batches(self) -> Iterator[range]:
        """Numbers of the requests between two flushes that wait for them."""
        each = self.flush_interval if self.drain and self.flush_interval else self.requests
        first = self.requests % each or each
        yield range(first)
        for start in range(first, self.requests, each):
            yield range(start, start + each)


class Latencies:
    """How long requests took, in nanoseconds; as many as there may be are kept in a few KiB."""

    def __init__(self) -> None:
        self.count = self.total = self.longest = 0
        self._counts: dict[int, int] = {}

    def add(self, spent: int) -> None:
        shift = max(spent.bit_length() - _FINE, 0)
        key = shift << _FINE | spent >> shift
        self._counts[key] = self._counts.get(key, 0) + 1
        self.count += 1
        self.total += spent
        self.longest = max(self.longest, spent)

    def join(self, other: Latencies) -> None:
        for key, count in other._counts.items():
            self._counts[key] = self._counts.get(key, 0) + count
        self.count += other.count
        self.total += other.total
        self.longest = max(self.longest, other.longest)

    @property
    def mean(self) -> float:
        return self.total / self.count

    def percentile(self, share: float) -> int:
        """What ``share`` (0 to 1) of the requests took at most, to 1/64."""
        left = share * self.count
        for key in sorted(self._counts):
            left -= self._counts[key]
            if left <= 0:
                shift = key >> _FINE
                return min(((key & (1 << _FINE) - 1) + 1 << shift) - 1, self.longest)
        return self.longest


class Timed(NamedTuple):
    format: str
    size: int  # bytes of the disk
    seconds: float  # from the first request to the end of the last, flushes included
    flushes: int
    latencies: Latencies


def bench(path: str, load: Load, source_format: str | None = None, access: Access = READ_ONLY) -> Timed:
    """Put ``load`` on the disk of an image. ``load.write`` overwrites what the disk holds there. UsageError."""
    if load.write:
        if access.shared:
            raise UsageError(f"{path}: is opened while another may write to it, and -w would write, too")
        with open_live(path, source_format, access) as disk:
            load.check(disk.size)
            return _Run(disk, load, _write(disk, load), disk.flush).timed()
    with open_chain(path, source_format, access) as disk:
        load.check(disk.size)
        return _Run(disk, load, _read(disk, load)).timed()


def _read(disk: Chain, load: Load) -> Callable[[int], object]:
    read, size = disk.read, load.size
    return lambda at: read(at, size)


def _write(disk: LiveChain, load: Load) -> Callable[[int], object]:
    write, data = disk.write, bytes((load.pattern,)) * load.size
    return lambda at: write(at, data)


class _Run:
    """``depth`` threads, of which the caller's is one, take numbers of one batch; the next begins when all are through.

    They take them from the iterator of a range, which needs no lock: ``next`` of it is one step of the interpreter.
    """

    def __init__(
        self, disk: Chain, load: Load, ask: Callable[[int], object], flush: Callable[[], None] = lambda: None
    ) -> None:
        self._disk, self._load, self._ask, self._flush = disk, load, ask, flush
        self._batches = load.batches()
        self._numbers: Iterator[int] | None = iter(next(self._batches))
        self._through = threading.Barrier(load.depth, self._begin_next)
        self._flushes: list[int] = []  # the numbers of the requests after which there was one
        self._failure: BaseException | None = None

    def timed(self) -> Timed:
        place = self._load.places(self._disk.size)
        hands = [Latencies() for _ in range(self._load.depth)]
        helpers = [threading.Thread(target=self._help, args=(place, hand), daemon=True) for hand in hands[1:]]
        began = time.perf_counter()
        for helper in helpers:
            helper.start()
        try:
            self._work(place, hands[0])
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            for helper in helpers:
                helper.join()
        if self._failure:
            raise self._failure
        seconds = time.perf_counter() - began
        for hand in hands[1:]:
            hands[0].join(hand)
        return Timed(self._disk.format, self._disk.size, seconds, len(self._flushes), hands[0])

    def _help(self, place: Callable[[int], int], spent: Latencies) -> None:
        try:
            self._work(place, spent)
        except threading.BrokenBarrierError:
            pass
        except BaseException as error:  # noqa: BLE001  it is raised in the caller's thread
            self._fail(error)

    def _work(self, place: Callable[[int], int], spent: Latencies) -> None:
        ask, add, clock = self._ask, spent.add, time.perf_counter_ns
        every = 0 if self._load.drain else self._load.flush_interval
        while self._numbers is not None:
            for number in self._numbers:
                at = place(number)
                began = clock()
                ask(at)
                add(clock() - began)
                if every and not (self._load.requests - number - 1) % every:
                    self._flush_after(number)
                if self._failure:
                    return
            self._through.wait()

    def _begin_next(self) -> None:
        """By the last thread that is through with a batch, while the others wait."""
        batch = next(self._batches, None)
        if self._load.drain and self._load.flush_interval:
            self._flush_after(batch.start - 1 if batch else self._load.requests - 1)
        self._numbers = None if batch is None else iter(batch)

    def _flush_after(self, number: int) -> None:
        self._flush()
        self._flushes.append(number)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._through.abort()
