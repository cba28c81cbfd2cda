"""What each cache mode does, seen from both sides: ``python -m bench.cachemodes`` prints the table.

One guest, a disk for each mode, the same writes and flushes on all of them; the guest says what it was told, the
kernel with which flags QEMU holds the images open, strace what QEMU calls.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from support.qemu import Machine
from virtkit.core.units import MIB
from virtkit.host.cachemodes import MODES
from virtkit.recipes import guest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.qemu import Agent

WRITES, FLUSHES = 40, 20  # of 4 KiB; half of the writes are each followed by an fsync
TITLES = ("mode", "open(2)", "guest's write_cache", "guest writes", "guest fsyncs", "host pwrites", "host fdatasyncs")

_TRACED = "pwrite64,pwritev,pwritev2,fdatasync,fsync"
_CALL = re.compile(r"\b(\w+)\(\d+<[^>]*/(\w+)\.img>")
_LOAD = """
to() { dd if=/dev/zero of=/dev/$1 bs=4096 count=$2 seek=$3 oflag=direct conv=notrunc$4; }
for disk in vda vdb vdc vdd vde; do
    to $disk %d 0
    for place in $(seq %d); do to $disk 1 $place ,fsync; done
done 2>&1
"""


class Seen(NamedTuple):
    """Of one mode."""

    mode: str
    direct: bool  # the image is open with O_DIRECT
    synchronous: bool  # ... with O_DSYNC or O_SYNC
    told: str  # write_cache, as the guest reads it
    pwrites: int
    flushes: int  # fdatasync and fsync

    def row(self) -> tuple[str, ...]:
        flags = "O_RDWR" + (", O_DIRECT" if self.direct else "") + (", O_DSYNC" if self.synchronous else "")
        return self.mode, flags, self.told, str(WRITES), str(FLUSHES), str(self.pwrites), str(self.flushes)


def look(place: Path) -> list[Seen]:
    """Boot the guest, let it write, and tell what came of it; NotSupportedError where no guest can be made."""
    kernel, initramfs = guest.kernel_and_initramfs()
    boot = ["-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet", "-nic", "none"]
    with Machine(place, [*boot, *_drives(place)]) as machine:
        agent = machine.agent()
        flags, told = _flags(machine.pid), _told(agent)
        with _traced(machine.pid, place / "calls"):
            agent.shell(_LOAD % (WRITES - FLUSHES, FLUSHES))
    calls = _CALL.findall((place / "calls").read_text())
    return [_seen(mode.name, flags[mode.name], told[index], calls) for index, mode in enumerate(MODES)]


def _seen(mode: str, flags: int, told: str, calls: list[tuple[str, str]]) -> Seen:
    made = [call for call, image in calls if image == mode]
    flushes = sum(call in {"fdatasync", "fsync"} for call in made)
    return Seen(mode, bool(flags & os.O_DIRECT), bool(flags & os.O_DSYNC), told, len(made) - flushes, flushes)


def _drives(place: Path) -> Iterator[str]:
    for mode in MODES:
        image = place / f"{mode.name}.img"
        image.write_bytes(b"")
        os.truncate(image, 4 * MIB)
        yield from ("-drive", f"file={image},format=raw,if=virtio,cache={mode.name},aio=threads")


def _told(agent: Agent) -> list[str]:
    return agent.shell("cat /sys/block/vd?/queue/write_cache").splitlines()


def _flags(pid: int) -> dict[str, int]:
    """Of the images that the process has open: proc_pid_fdinfo(5)."""
    found = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if (target := Path(os.readlink(link))).suffix == ".img":
            lines = Path(f"/proc/{pid}/fdinfo/{link.name}").read_text(encoding="ascii").splitlines()
            found[target.stem] = int(next(line for line in lines if line.startswith("flags:")).split()[1], 8)
    return found


@contextmanager
def _traced(pid: int, calls: Path) -> Iterator[None]:
    """Every thread of the process is traced while the block runs."""
    command = ["strace", "-f", "-y", "-e", f"trace={_TRACED}", "-o", str(calls), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        assert "attached" in said, said
        try:
            yield
        finally:
            tracer.send_signal(signal.SIGINT)


def main() -> int:
    with TemporaryDirectory(dir="/var/tmp") as place:
        rows = [TITLES, *(seen.row() for seen in look(Path(place)))]
    sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in [rows[0], ["---"] * len(TITLES), *rows[1:]])
    return 0


if __name__ == "__main__":
    sys.exit(main())
