"""Everything virtkit raises on purpose, and the exit status each ends with.

VirtkitError                      1   failed
├── UsageError                    2   the request itself is wrong
│   └── SpecError                 2   a declarative file has faults; all of them are listed
├── NotSupportedError             1   understood, but this host, file or version cannot do it
├── NotFoundError                 1   what was named is not there
├── BusyError                     1   somebody else holds it
├── SystemCallError               1   the operating system refused (full disk, no permission ...)
├── CommandError                  1   a program that we ran failed
├── NetworkError                  1   the kernel refused a change to the network
├── MachineError                  1   libvirt or QEMU refused
├── ImageError                    1   a disk image
│   ├── CorruptImageError         1   its bytes contradict its format
│   ├── UnknownFormatError        1   no format knows it
│   ├── WrongKeyError             1   the passphrase does not open it
│   └── ForbiddenReferenceError   1   it names a file that it may not open
└── ChangeError                   1   a change to this machine
    ├── VerifyError               1   a step took, but the machine does not show it
    ├── ConflictError             1   somebody else changed the value since
    ├── RolledBackError           4   it failed, and everything was put back
    ├── HandedOverError           1   it waits for its confirmation still, in another process
    └── UndoIncompleteError       1   some of the change is still there

The exit status is also the ``status`` of the JSON output and of the HTTP API. Two statuses have
no class here: 3 (the plan holds changes) is an answer, 130 (interrupted) is Ctrl-C.

A message reads ``subject: field is FOUND, expected WANTED (where)``; the hint is a command to type next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import ClassVar


class VirtkitError(Exception):
    """Ends the program with ``exit_status``; ``hint`` says what to type next."""

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(VirtkitError):
    exit_status = 2


class SpecError(UsageError):
    """``faults`` are complete lines: ``file:line:column: field: found, expected``."""

    def __init__(self, faults: Sequence[str], *, hint: str = "") -> None:
        super().__init__("\n".join(faults), hint=hint)
        self.faults = tuple(faults)


class NotSupportedError(VirtkitError):
    pass


class NotFoundError(VirtkitError):
    pass


class BusyError(VirtkitError):
    pass


class SystemCallError(VirtkitError):
    def __init__(self, doing: str, cause: OSError, *, hint: str = "") -> None:
        super().__init__(f"{doing}: {(cause.strerror or str(cause)).lower()}", hint=hint)
        self.errno = cause.errno


class CommandError(VirtkitError):
    def __init__(self, command: Sequence[str], status: int, stderr: str, *, hint: str = "") -> None:
        said = stderr.strip().splitlines()
        super().__init__(f"{' '.join(command)}: exit status {status}" + (f": {said[-1]}" if said else ""), hint=hint)
        self.command, self.status, self.stderr = tuple(command), status, stderr


class NetworkError(VirtkitError):
    pass


class MachineError(VirtkitError):
    pass


class ImageError(VirtkitError):
    pass


class CorruptImageError(ImageError):
    def __init__(self, image: str, field: str, *, found: object, expected: str, offset: int) -> None:
        super().__init__(f"{image}: {field} is {found}, expected {expected} (at byte {offset:#x})")
        self.image, self.field, self.found, self.expected, self.offset = image, field, found, expected, offset


class UnknownFormatError(ImageError):
    def __init__(self, image: str, head: bytes) -> None:
        first = f"first bytes {head[:8].hex(' ')}" if head else "it is empty"
        super().__init__(f"{image}: no known disk format ({first})", hint="if it is a raw disk, say so: -f raw")
        self.image = image


class WrongKeyError(ImageError):
    pass


class ForbiddenReferenceError(ImageError):
    pass


class ChangeError(VirtkitError):
    pass


class VerifyError(ChangeError):
    def __init__(self, step: str, found: str, *, hint: str = "") -> None:
        super().__init__(f"{step}: {found}", hint=hint)


class ConflictError(ChangeError):
    pass


class RolledBackError(ChangeError):
    exit_status = 4


class HandedOverError(ChangeError):
    pass


class UndoIncompleteError(ChangeError):
    pass
