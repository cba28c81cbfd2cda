"""A copy that is written down while it goes on: which calls laid the new image out, and which jobs are done."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from virtkit.core.errors import SystemCallError
from virtkit.core.units import MIB, SECTOR, round_down
from virtkit.disk import writeback
from virtkit.disk.conversion.record import Call, Calls, Reached, Verb
from virtkit.disk.conversion.salvage import Salvage
from virtkit.disk.conversion.taken_up import TakenUp
from virtkit.disk.file import File
from virtkit.disk.format import SettlingWriter

if TYPE_CHECKING:
    from virtkit.disk.conversion.record import Record
    from virtkit.disk.copying.hands import Hand
    from virtkit.disk.copying.source import Source
    from virtkit.disk.format import Buffer, Place, Writer
    from virtkit.disk.newfile import NewFile
    from virtkit.disk.pieces import Job

WRITE_EVERY = 0.5  # seconds between two entries: what SIGKILL loses
SYNC_EVERY = 5.0  # seconds, or
SYNC_SIZE = 256 * MIB  # bytes: what a power cut loses
_LONGEST = 4 * MIB  # bytes of a compressed unit


class _Step:
    """A job that a hand has begun: its calls are made, its data may be on the way."""

    def __init__(self, end: int, moved: int, calls: Calls, *, stored: bool) -> None:
        self.end, self.moved, self.calls = end, moved, calls
        self.stored = stored  # compressed units, which may wait in the writer's memory
        self.complete = False


class _Watched:
    """A hand whose jobs are written down."""

    def __init__(self, hand: Hand[Job], keeper: Keeper) -> None:
        self._hand = hand
        self._keeper = keeper
        self._job: Job
        self._step: _Step

    def prepare(self, job: Job) -> None:
        self._job = job
        self._hand.prepare(job)

    def in_order(self) -> None:
        self._hand.in_order()
        self._step = self._keeper.begun(self._job)

    def complete(self) -> None:
        self._hand.complete()
        self._step.complete = True


class _Noted:
    """A writer whose calls are written down; they come in the order of the jobs, one at a time."""

    def __init__(self, writer: Writer, calls: list[Call]) -> None:
        self._writer = writer
        self._calls = calls
        self.unit = writer.unit

    def place(self, start: int, length: int) -> list[Place]:
        places = self._writer.place(start, length)
        self._calls.append(Call(Verb.PLACE, start, length))
        return places

    def store(self, start: int, coded: Buffer) -> None:
        self._writer.store(start, coded)
        self._calls.append(Call(Verb.STORE, start, len(coded)))

    def blank(self, start: int, length: int) -> None:
        self._writer.blank(start, length)
        self._calls.append(Call(Verb.BLANK, start, length))

    def finish(self) -> None:
        self._writer.finish()


class Keeper:
    """Between a copy and its record. The copy's own thread writes the entries; another one waits for the drive."""

    def __init__(self, record: Record, new: NewFile, source: Source) -> None:
        self._record = record
        self._new = new
        self._source = source
        self._writer: Writer | None = None
        self._calls: list[Call] = []  # since the last job began
        self._begun: deque[_Step] = deque()
        self._lost = 0  # stretches that the record knows
        self._lock = threading.Lock()
        self._inside = False  # an entry is half made: a signal may have come in between
        self._wrote = self._synced = time.monotonic()
        self._synced_moved = record.reached.moved
        self._syncing: threading.Thread | None = None
        self._stopped = threading.Event()
        self._failure: OSError | SystemCallError | None = None

    @property
    def start(self) -> int:
        return self._record.reached.disk

    @property
    def moved(self) -> int:
        return self._record.reached.moved

    def replay(self, writer: Writer) -> Writer:
        """Bring ``writer`` to where the copy stopped; the answer writes down what it is asked from now on."""
        for calls in self._record.calls():
            for call in calls:
                self._repeat(writer, call)
        if isinstance(writer, SettlingWriter):
            writer.settle()
        for file in self._new.files:
            if isinstance(file, TakenUp):
                file.go_on()
        if self.start:
            self._record.go_on()
        self._writer = writer
        return _Noted(writer, self._calls)

    def _repeat(self, writer: Writer, call: Call) -> None:
        if call.verb is Verb.PLACE:
            for place in writer.place(call.start, call.length):
                if isinstance(place.file, TakenUp):
                    place.file.fill(place)
        elif call.verb is Verb.STORE:
            writer.store(call.start, memoryview(_ZEROS)[: call.length])
        elif call.verb is Verb.BLANK:
            writer.blank(call.start, call.length)
        elif isinstance(self._source, Salvage):
            self._source.lose(call.start, call.start + call.length)
            self._lost += 1

    def watch(self, hand: Hand[Job]) -> Hand[Job]:
        return _Watched(hand, self)

    def begun(self, job: Job) -> _Step:
        calls = Calls()
        for call in self._calls:
            calls.add(call)
        stored = any(call.verb is Verb.STORE for call in self._calls)
        self._calls.clear()
        step = _Step(job.start + job.length, job.weight, calls, stored=stored)
        self._begun.append(step)
        return step

    def after_job(self) -> None:
        if self._failure:
            raise self._failure
        now = time.monotonic()
        if now - self._wrote >= WRITE_EVERY:
            self._wrote = now
            self.write()
            if now - self._synced >= SYNC_EVERY or self.moved - self._synced_moved >= SYNC_SIZE:
                self._synced, self._synced_moved = now, self.moved
                self._sync()

    def write(self) -> None:
        """An entry about all that is done without a gap before it."""
        self._inside = True
        if isinstance(self._writer, SettlingWriter):
            self._writer.settle()
        self._write(settled=True)
        self._inside = False

    def _write(self, *, settled: bool) -> None:
        calls, reached = Calls(), self._record.reached
        while self._begun and self._begun[0].complete and (settled or not self._begun[0].stored):
            step = self._begun.popleft()
            calls.packed.extend(step.calls.packed)
            reached = Reached(step.end, reached.moved + step.moved)
        if reached == self._record.reached:
            return
        if isinstance(self._source, Salvage):
            known = self._source.found()
            for start, end in known[self._lost :]:
                begin = round_down(start, SECTOR)
                calls.add(Call(Verb.LOST, begin, end - begin))
            self._lost = len(known)
        with self._lock:
            self._record.done(reached, calls)

    def stop(self) -> None:
        """The work was broken off, anywhere, also within a call of the writer: no compressed units are settled now."""
        self.rest()
        if not self._inside:
            self._write(settled=False)

    def rest(self) -> None:
        """Nothing runs any more."""
        self._stopped.set()
        if self._syncing:
            self._syncing.join()

    def _sync(self) -> None:
        if self._syncing and self._syncing.is_alive():
            return
        files = [File(os.dup(file.fd), file.name) for file in self._new.files]
        arguments = (files, self._record.count)
        self._syncing = threading.Thread(target=self._wait_for_drive, args=arguments, daemon=True)
        self._syncing.start()

    def _wait_for_drive(self, files: list[File], count: int) -> None:
        try:
            for file in files:
                if not writeback.write_back(file, lambda: not self._stopped.is_set()):
                    return
                file.sync_data()
            with self._lock:
                self._record.synced(count)
            self._record.sync()
        except (OSError, SystemCallError) as error:
            self._failure = error
        finally:
            for file in files:
                file.close()


_ZEROS = bytes(_LONGEST)
