"""Mount an image, and undo it: what was written is on stable storage when ``unmount`` returns."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import (
    BusyError,
    CommandError,
    NotFoundError,
    NotSupportedError,
    SystemCallError,
    UsageError,
)
from virtkit.core.system import System
from virtkit.disk import partitions
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.chain import open_chain
from virtkit.disk.export import Export
from virtkit.disk.live import open_live
from virtkit.disk.mount import daemon
from virtkit.disk.mount.files import DAEMON, Entry, Files

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from virtkit.disk.chain import Chain

_DEVICE = "/dev/fuse"
_TYPE = "virtkit"  # in /proc/mounts: fuse.virtkit
_THREADS = 10
_ENDED_BY_SIGNAL = 8  # what libfuse 3 ends with then; everything has been unmounted in order


class Order(NamedTuple):
    """``directory`` is an absolute path."""

    image: str
    directory: str
    source_format: str | None
    access: Access
    write: bool


def mount(
    image: str,
    directory: str,
    source_format: str | None = None,
    access: Access = READ_ONLY,
    *,
    write: bool = False,
    foreground: bool = False,
) -> list[str]:
    """Show ``image`` as files in the empty ``directory``; returns their paths.

    They can be used when this returns, until ``unmount``. With ``foreground`` this process serves them itself and
    returns after that. Errors of opening the image; NotSupportedError without FUSE, BusyError, UsageError.
    """
    _require_free(directory)
    _require_fuse()
    order = Order(image, os.path.abspath(directory), source_format, access, write)
    if foreground:
        serve(order, lambda: None)
        return []
    daemon.start("virtkit.disk.mount", order, image, order.directory)
    return sorted(os.path.join(directory, name) for name in os.listdir(directory))


def serve(order: Order, ready: Callable[[], None]) -> None:
    """``ready`` is called when the files can be used. Returns when they are unmounted, by whomever, or by a signal."""
    with (open_live if order.write else open_chain)(order.image, order.source_format, order.access) as chain:
        _serve(chain, order.directory, ready)


def unmount(directory: str, system: System | None = None) -> bool:
    """Undo ``mount``; False where its process had died and there was only the directory to free.

    NotFoundError where no image is mounted, BusyError while files are in use, SystemCallError where what was written
    does not reach the disk: it stays mounted then.
    """
    where = os.path.realpath(directory)
    if where not in mounted():
        raise NotFoundError(f"{directory}: no image is mounted there", hint="findmnt -t fuse.virtkit")
    pid = _sync(where)
    process = os.pidfd_open(pid) if pid else None
    try:
        (system or System()).run(["fusermount3", "-u", where])
        if process is not None:
            _wait_for_end(process)
    except CommandError as error:
        if "busy" in error.stderr.lower():
            raise BusyError(f"{directory}: its files are in use", hint=f"fuser -vm {directory}") from error
        raise
    finally:
        if process is not None:
            os.close(process)
    return pid is not None


def mounted() -> list[str]:
    """The directories where images are mounted."""
    with open("/proc/self/mountinfo", "rb") as file:
        lines = [line.partition(b" - ") for line in file]
    return [_mount_point(before) for before, _, after in lines if after.startswith(f"fuse.{_TYPE} ".encode())]


def _mount_point(fields: bytes) -> str:
    """The fifth field of a line in /proc/self/mountinfo: blanks and backslashes are written as octal numbers there."""
    return os.fsdecode(fields.split()[4].decode("unicode_escape").encode("latin-1"))


def _sync(where: str) -> int | None:
    """Have what was written on stable storage; the PID of who serves it, None where nobody does any more."""
    try:
        for name in os.listdir(where):
            fd = os.open(os.path.join(where, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        return int(os.getxattr(where, DAEMON))
    except OSError as error:
        if error.errno in {errno.ENOTCONN, errno.ECONNABORTED}:
            return None
        raise SystemCallError(f"write what is in {where} to the disk", error) from error


def _wait_for_end(process: int) -> None:
    import select

    ended = select.poll()
    ended.register(process, select.POLLIN)
    ended.poll()


def _serve(chain: Chain, directory: str, ready: Callable[[], None]) -> None:
    status = os.stat(chain.name)
    entries, export = _entries(chain), Export(chain)
    _let_signals_unmount()
    try:
        _library().FUSE(
            Files(export, entries, status, ready),
            directory,
            foreground=True,
            allow_other=os.geteuid() == 0,
            default_permissions=True,  # who may read the image may read the files, and nobody else
            ro=not export.writable,
            fsname=_escaped(os.path.abspath(chain.name)),
            subtype=_TYPE,
            direct_io=export.writable and len(entries) > 1,  # the kernel would cache a partition and the disk apart
            max_idle_threads=_THREADS,  # libfuse 3.14 warns of its own default
        )
    except RuntimeError as error:
        if error.args != (_ENDED_BY_SIGNAL,):
            raise NotSupportedError(f"{directory}: not mounted, libfuse ends with status {error}") from error


def _entries(chain: Chain) -> list[Entry]:
    """The disk, and its partitions as far as they lie in it."""
    name = os.path.splitext(os.path.basename(chain.name))[0]
    table = partitions.find(chain)
    parts = [
        Entry(f"{name}.p{part.number}", part.start, min(part.end, chain.size) - part.start)
        for part in (table.partitions if table else ())
        if part.start < chain.size
    ]
    return [Entry(f"{name}.raw", 0, chain.size), *parts]


def _escaped(text: str) -> str:
    """As a value among the options of a mount."""
    return text.replace("\\", "\\\\").replace(",", "\\,")


def _let_signals_unmount() -> None:
    """Libfuse ends in order on signals that nobody else takes."""
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)


def _require_free(directory: str) -> None:
    try:
        held = os.listdir(directory)
    except FileNotFoundError as error:
        raise NotFoundError(f"{directory}: no such directory", hint=f"mkdir {directory}") from error
    except NotADirectoryError as error:
        raise UsageError(f"{directory}: is no directory") from error
    except OSError as error:
        hint = f"virtkit disk umount {directory}" if error.errno == errno.ENOTCONN else ""
        raise SystemCallError(f"look into {directory}", error, hint=hint) from error
    if os.path.realpath(directory) in mounted():
        raise BusyError(f"{directory}: an image is mounted there", hint=f"virtkit disk umount {directory}")
    if held:
        raise UsageError(f"{directory}: holds {held[0]}, expected an empty directory: its files would be hidden")


def _require_fuse() -> None:
    if not os.path.exists(_DEVICE):
        raise NotSupportedError(f"{_DEVICE} is not there, images cannot be mounted", hint="sudo modprobe fuse")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        raise NotSupportedError(f"{_DEVICE}: this user may not use it", hint=f"ls -l {_DEVICE}")
    _library()


def _library() -> ModuleType:
    os.environ.setdefault("FUSE_LIBRARY_NAME", "fuse3")  # mfusepy would take libfuse 2 where that is there too
    try:
        import mfusepy
    except OSError as error:
        raise NotSupportedError("libfuse 3 is not installed", hint="sudo apt install fuse3") from error
    found: ModuleType = mfusepy
    return found
