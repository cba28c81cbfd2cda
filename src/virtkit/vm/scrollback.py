"""What a machine's serial console said before anybody looked: the file of its ``<log>``, which virtlogd writes.

virtlogd moves it away to FILE.0 at 2 MiB (virtlogd.conf, max_size). Without a log nothing is kept: QEMU drops what
nobody reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import SystemCallError
from virtkit.vm import homes

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.vm.machine import Machine

_MOST = 1 << 18  # bytes that are shown, whatever the number of lines


class Past(NamedTuple):
    said: bytes  # as the console said it, colours and all
    path: str  # empty: nothing is kept
    hint: str  # a command; empty: all is well


def read(machine: Machine, system: System, lines: int) -> Past:
    """The last ``lines`` of it. SystemCallError if the file may not be read."""
    domain = machine.now()
    path = next((console.log for console in (*domain.consoles, *domain.serials) if console.log), "")
    if not path:
        file = f"{homes.of(machine.uri).logs}/{machine.name}-serial.log"
        return Past(b"", "", f"virtkit vm set {machine.name} serial --log {file}   (from its next start)")
    said = b""
    for file in (path, f"{path}.0"):
        if len(said) < _MOST and said.count(b"\n") < lines and system.exists(file):
            said = _end_of(system, file) + said
    kept = said[-_MOST:].splitlines(keepends=True)
    return Past(b"".join(kept[-lines:]) if lines else b"", path, "")


def _end_of(system: System, file: str) -> bytes:
    try:
        with system.path(file).open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(size - _MOST, 0))
            return log.read(_MOST)
    except OSError as error:
        raise SystemCallError(f"read {file}", error, hint="sudo virtkit ...") from error
