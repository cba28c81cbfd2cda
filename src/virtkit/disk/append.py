"""More room at the end of a raw disk: what people do with ``dd`` and ``cat``, whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError, UnknownFormatError, UsageError
from virtkit.core.progress import silent
from virtkit.disk import catalog, growth
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.file import File

if TYPE_CHECKING:
    from virtkit.core.progress import Sink


class Appended(NamedTuple):
    """Sizes in bytes; ``notes`` are what the guest has to know."""

    before: int
    after: int
    allocated_before: int  # on the file system
    allocated_after: int | None  # None: nothing was done
    notes: tuple[str, ...] = ()


def append(
    path: str,
    length: int,
    *,
    preallocation: str = "off",
    dry_run: bool = False,
    access: Access = READ_ONLY,
    report: Sink = silent,
) -> Appended:
    """Make the raw disk in the file ``path`` longer by ``length`` bytes of zeros; whole sectors of 512.

    ``preallocation`` of the new room: ``off`` (holes), ``falloc`` (the file system holds room for it) or ``full``
    (zeros are written). Where that fails or is broken off, the file is as long as before. UsageError where the file
    is of another format by its signature, unless ``access.trust_format``; NotSupportedError for block devices;
    BusyError while a running machine has it open.
    """
    if length <= 0:
        raise UsageError(f"{path}: size to append is {length} bytes, expected more than 0", hint="4G")
    size, allocated = _look(path, access)
    outlook = growth.resize(path, by=length, dry_run=True, source_format="raw", access=_raw(access))
    if dry_run:
        return Appended(outlook.before, outlook.after, allocated, None, outlook.notes)
    try:
        growth.resize(
            path, by=length, preallocation=preallocation, source_format="raw", access=_raw(access), report=report
        )
    except BaseException:
        _cut(path, size)
        raise
    return Appended(outlook.before, outlook.after, allocated, _look(path, access)[1], outlook.notes)


def _raw(access: Access) -> Access:
    """What carries another signature was told apart before."""
    return access._replace(trust_format=True)


def _look(path: str, access: Access) -> tuple[int, int]:
    """Bytes of the file, and those that it takes."""
    file = File.open(path, writable=True, shared=access.shared)
    try:
        if file.is_device:
            raise NotSupportedError(f"{path}: is a block device, expected a file", hint=f"lvextend -L +SIZE {path}")
        if not access.trust_format:
            _require_raw(file)
        return file.size, file.allocated
    finally:
        file.close()


def _require_raw(file: File) -> None:
    try:
        found = catalog.detect(file)
    except UnknownFormatError:
        return
    raise UsageError(
        f"{file.name}: format is {found} by its signature, expected a raw disk: bytes behind its end would be lost",
        hint=f"virtkit disk resize {file.name} +SIZE; or, if a guest wrote that signature: --trust-format",
    )


def _cut(path: str, size: int) -> None:
    """Nobody has written to the new room yet."""
    file = File.open(path, writable=True, shared=True)
    try:
        if file.size > size:
            file.resize(size)
    finally:
        file.close()
