"""A conversion with ``--resume`` that is killed at its Nth write (0: at none) into the new image, in the middle of it.

It says how many bytes of the source it read. An entry is written after each job; with ``synced`` each is synced, and
the part's file as it was then is copied to that path. ``boot`` is a file with the kernel's boot id.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING

from virtkit import disk
from virtkit.disk.conversion import keeping, record

if TYPE_CHECKING:
    from collections.abc import Sequence


def die_at(number: int, record: str) -> None:
    """Only writes of data and metadata count: the record is small, and torn by a test of its own."""
    real = os.pwrite
    done = 0

    def pwrite(fd: int, data: memoryview, at: int) -> int:
        nonlocal done
        if os.readlink(f"/proc/self/fd/{fd}") != record:
            done += 1
            if done == number:
                real(fd, bytes(data)[: len(data) // 2 // 512 * 512], at)
                os.kill(os.getpid(), signal.SIGKILL)
        return real(fd, data, at)

    def pwritev(fd: int, parts: Sequence[memoryview], at: int) -> int:
        return pwrite(fd, memoryview(b"".join(parts)), at)

    os.pwrite = pwrite  # type: ignore[assignment]  # narrower, as File calls it
    os.pwritev = pwritev  # type: ignore[assignment]  # likewise


def count_reads(path: str) -> list[int]:
    """How many bytes each read of the file takes from now on."""
    real, wanted, taken = os.preadv, os.stat(path), list[int]()

    def preadv(fd: int, buffers: Sequence[memoryview], at: int) -> int:
        got = real(fd, buffers, at)
        if os.path.samestat(os.fstat(fd), wanted):
            taken.append(got)
        return got

    os.preadv = preadv  # type: ignore[assignment]  # likewise
    return taken


def sync_all(part: str, kept: str) -> None:
    """What a power cut leaves at worst, right after each sync."""
    real = keeping.Keeper._sync
    keeping.SYNC_EVERY = 0.0

    def sync(keeper: keeping.Keeper) -> None:
        shutil.copyfile(part, f"{kept}.new")
        real(keeper)
        if keeper._syncing:
            keeper._syncing.join()
        os.replace(f"{kept}.new", kept)

    keeping.Keeper._sync = sync  # type: ignore[method-assign, assignment]  # the test's own


def resumed(
    number: int, source: str, target: str, wanted: dict[str, object], *, synced: str = "", boot: str = record._BOOT_ID
) -> None:
    keeping.WRITE_EVERY = 0.0
    record._BOOT_ID = boot
    folder, name = os.path.split(os.path.realpath(target))
    if synced:
        sync_all(os.path.join(folder, f".{name}.virtkit-part"), synced)
    die_at(number, os.path.join(folder, f".{name}.virtkit-record"))
    taken = count_reads(source)
    disk.convert(source, target, resume=True, **wanted)  # type: ignore[arg-type]  # each test says its own
    sys.stdout.write(f"{sum(taken)}\n")
