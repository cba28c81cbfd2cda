from __future__ import annotations

import os
import threading

import pytest

from virtkit.core.errors import MachineError, SystemCallError
from virtkit.core.system import System
from virtkit.vm.process import EMULATOR, Thread, allow, process_id, threads


def test_every_thread_of_a_process_is_seen_with_the_cpus_that_the_kernel_allows() -> None:
    over = threading.Event()
    waiting = [threading.Thread(target=over.wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    try:
        seen = {thread.tid: thread.cpus for thread in threads(System(), os.getpid())}
        assert {thread.native_id for thread in waiting} <= set(seen)
        assert all(set(cpus) == os.sched_getaffinity(tid) for tid, cpus in seen.items())
    finally:
        over.set()


def test_one_thread_is_moved_and_the_others_stay() -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        before = os.sched_getaffinity(0)
        mine = next(thread for thread in threads(System(), os.getpid()) if thread.tid == other.native_id)
        allow(mine, (min(before),))
        assert os.sched_getaffinity(mine.tid) == {min(before)}
        assert os.sched_getaffinity(0) == before
    finally:
        over.set()


def test_a_thread_that_has_ended_needs_no_pin_and_a_cpu_that_is_not_there_is_said() -> None:
    gone = threading.Thread(target=int)
    gone.start()
    gone.join()
    allow(Thread(gone.native_id or 0, "gone", EMULATOR, 0, ()), (0,))
    with pytest.raises(SystemCallError, match="pin thread"):
        allow(Thread(threading.get_native_id(), "here", EMULATOR, 0, ()), (4000,))


def test_a_machine_without_a_process_is_said() -> None:
    with pytest.raises(MachineError, match="QEMU process was not found"):
        process_id(System(), "vkt-nobody")
