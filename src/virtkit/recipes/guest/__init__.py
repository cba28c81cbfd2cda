"""A small bootable Linux, made on the spot from the distribution's packages: what the demo converts and runs.

Nothing is installed and nothing is mounted. The same packages give the same guest, which is kept
in ``$VIRTKIT_CACHE_DIR`` or /var/cache/virtkit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.core.progress import Finished, Started, silent
from virtkit.core.system import System
from virtkit.recipes.guest import store

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.core.progress import Sink

_CONVERT_SECONDS = 600


def build(target: Path, system: System | None = None, report: Sink = silent) -> None:
    """Put a raw disk of 1 GiB at ``target`` (sparse, some tens of MiB) that a BIOS boots to a guest with an agent.

    UsageError if ``target`` exists; NotSupportedError where there are no Debian packages; CommandError if apt fails.
    """
    system = system or System()
    _must_be_new(target)
    disk = store.prepared(system, report).disk
    system.run(["cp", "--reflink=auto", "--sparse=always", str(disk), str(target)])


def kernel_and_initramfs(system: System | None = None, report: Sink = silent) -> tuple[Path, Path]:
    """The same guest for ``-kernel`` and ``-initrd``; the files stay in the cache and are not to be changed."""
    guest = store.prepared(system or System(), report)
    return guest.kernel, guest.initramfs


def foreign(raw: Path, target: Path, system: System | None = None, report: Sink = silent) -> None:
    """The disk as another product would hand it over: a stream-optimized VMDK, written by QEMU's own program."""
    _must_be_new(target)
    step = f"{target.name}: write a foreign VMDK"
    report(Started(step))
    command = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    (system or System()).run([*command, str(raw), str(target)], timeout=_CONVERT_SECONDS)
    report(Finished(step))


def _must_be_new(target: Path) -> None:
    if target.exists():
        raise UsageError(f"{target}: exists, expected a new file", hint=f"rm {target}")
