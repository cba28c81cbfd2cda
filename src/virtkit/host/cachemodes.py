"""The cache modes of a machine's disk, and what each does on the host: qemu(1), ``-drive cache=``.

Nothing here is believed: tests/guest/test_cache_modes.py traces the QEMU of a running guest and compares.
"""

from __future__ import annotations

import os
from typing import NamedTuple


class CacheMode(NamedTuple):
    name: str
    direct: bool  # the image is opened with O_DIRECT: the host's page cache is passed by, for reads and writes
    write_back: bool  # the guest is told that its disk has a volatile cache, and sends flushes
    keeps_flushes: bool  # what is to be flushed is flushed; False: it is thrown away

    @property
    def flags(self) -> int:
        """Of open(2)."""
        return os.O_RDWR | (os.O_DIRECT if self.direct else 0)

    @property
    def told(self) -> str:
        """What stands in the guest's /sys/block/X/queue/write_cache."""
        return "write back" if self.write_back else "write through"

    def host_flushes(self, writes: int, flushes: int) -> int:
        """How often QEMU calls fdatasync for these writes of a guest, and for the flushes that a program there asks.

        Where the guest is told "write through" QEMU flushes after each write, and the guest's kernel sends no flush.
        """
        if not self.keeps_flushes:
            return 0
        return flushes if self.write_back else writes


MODES = (
    CacheMode("none", direct=True, write_back=True, keeps_flushes=True),
    CacheMode("writeback", direct=False, write_back=True, keeps_flushes=True),
    CacheMode("writethrough", direct=False, write_back=False, keeps_flushes=True),
    CacheMode("directsync", direct=True, write_back=False, keeps_flushes=True),
    CacheMode("unsafe", direct=False, write_back=True, keeps_flushes=False),
)
