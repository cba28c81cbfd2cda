"""Finds libvirt's Python module, and is the one place where its functions are called.

libvirt-python has no wheels: people have the distribution's package (python3-libvirt), which a virtual environment
does not see. It is loaded by path, without opening the environment to anything else of the distribution.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from contextlib import contextmanager
from functools import cache
from glob import glob
from typing import TYPE_CHECKING, Final, TypeVar

from virtkit.core.errors import BusyError, MachineError, NotFoundError, NotSupportedError, VirtkitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

T = TypeVar("T")

# libvirt's stable ABI: libvirt-domain.h, libvirt-stream.h, libvirt-event.h
LIVE, CONFIG = 1, 2  # virDomainModificationImpact
XML_SECURE, XML_INACTIVE = 1, 2  # virDomainXMLFlags
METADATA = {"description": 0, "title": 1}  # virDomainMetadataType
METADATA_ELEMENT = 2  # of the same: a program's own
DEFINE_VALIDATE = 1  # virDomainDefineFlags: hold the XML against libvirt's schema
SHUTDOWN_ACPI = 1  # virDomainShutdownFlagValues
ADDRESSES_LEASE = 0  # virDomainInterfaceAddressesSource; its ARP fails on new kernels ("wrong nlmsg len")
UNDEFINE_NVRAM, UNDEFINE_KEEP_NVRAM, UNDEFINE_KEEP_TPM = 4, 8, 64  # virDomainUndefineFlagsValues
UNDEFINE_NOTES = 2 | 16  # of the same: the metadata of snapshots and of checkpoints
CONSOLE_FORCE, CONSOLE_SAFE = 1, 2  # virDomainConsoleFlags
STREAM_NONBLOCK, STREAM_READABLE = 1, 1
HANDLE_READABLE, HANDLE_HANGUP = 1, 8  # virEventHandleType
POOLS_ACTIVE = 2  # virConnectListAllStoragePoolsFlags
STATS_NOWAIT = 1 << 29  # virConnectGetAllDomainStatsFlags: what would have to wait for a job is left out

NO_DOMAIN: Final = 42  # VIR_ERR_NO_DOMAIN in virterror.h, as the following
INVALID_ARGUMENT: Final = 8  # VIR_ERR_INVALID_ARG
_ABSENT = frozenset({NO_DOMAIN, 43})  # VIR_ERR_NO_NETWORK
_HELD = frozenset({68, 87})  # VIR_ERR_OPERATION_TIMEOUT: another job has the machine; VIR_ERR_RESOURCE_BUSY
_CANNOT = frozenset({3, 67, 84})  # VIR_ERR_NO_SUPPORT, VIR_ERR_CONFIG_UNSUPPORTED, VIR_ERR_OPERATION_UNSUPPORTED

_MODULES = ("libvirtmod", "libvirt", "libvirtmod_qemu", "libvirt_qemu")  # each needs those before it
_FOLDERS = ("/usr/lib/python3/dist-packages", "/usr/lib64/python3.*/site-packages", "/usr/lib/python3.*/site-packages")


class Handle:
    """One object of libvirt's: a connection, a machine, a stream, a module. ``subject`` names it in messages."""

    def __init__(self, raw: object, subject: str) -> None:
        self.raw = raw
        self.subject = subject

    def ask(self, kind: type[T], method: str, *arguments: object) -> T:
        """Call ``method``; what it answers is a ``kind``.

        NotFoundError, BusyError, NotSupportedError, MachineError: libvirt's own message, with its error number.
        """
        try:
            answer: object = getattr(self.raw, method)(*arguments)
        except _refusal() as error:
            raise self._translate(error) from error
        if not isinstance(answer, kind):
            raise MachineError(f"{self.subject}: {method} answers {answer!r}, expected {kind.__name__}")
        return answer

    def tell(self, method: str, *arguments: object) -> None:
        """Call ``method`` for its effect."""
        self.ask(object, method, *arguments)

    def _translate(self, error: Exception) -> VirtkitError:
        number = error_number(error)
        said = str(getattr(error, "get_error_message", error.__str__)()).strip()
        message = f"{self.subject}: {_uncapitalised(said)} (libvirt error {number})"
        if number in _ABSENT:
            return NotFoundError(f"{self.subject}: libvirt knows no such machine or network (error {number}: {said})")
        if number in _HELD:
            return BusyError(message)
        return NotSupportedError(message) if number in _CANNOT else MachineError(message)


def error_number(error: BaseException | None) -> int:
    """The VIR_ERR_ number of a libvirtError; 0 for anything else."""
    number = getattr(error, "get_error_code", int)()
    return number if isinstance(number, int) else 0


@cache
def libvirt() -> Handle:
    """The module, with its printing of errors to the terminal turned off. NotSupportedError where there is none."""
    handle = Handle(_load()["libvirt"], "libvirt")
    handle.tell("registerErrorHandler", _ignore, None)
    return handle


@cache
def libvirt_qemu() -> Handle:
    """The module of what only QEMU has: the guest agent and the monitor."""
    libvirt()
    return Handle(_load()["libvirt_qemu"], "libvirt")


@cache
def events() -> Handle:
    """The event loop of libvirt, which may be registered once in a process, before the connections that need it."""
    handle = libvirt()
    handle.tell("virEventRegisterDefaultImpl")
    return handle


@contextmanager
def heartbeat() -> Iterator[None]:
    """The event loop runs meanwhile, beside: connections opened inside notice when the other side is dead."""
    from threading import Event, Thread

    loop, over = events(), Event()
    timer = loop.ask(int, "virEventAddTimeout", 200, _ignore, None)  # milliseconds: looks whether it is over

    def run() -> None:
        while not over.is_set():
            loop.tell("virEventRunDefaultImpl")

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        loop.tell("virEventRemoveTimeout", timer)


def _ignore(_context: object, _error: object) -> None:
    """Every error comes back as an exception, too."""


def _refusal() -> type[Exception]:
    kind: type[Exception] = _load()["libvirt"].libvirtError
    return kind


@cache
def _load() -> dict[str, ModuleType]:
    try:
        return {name: importlib.import_module(name) for name in _MODULES}
    except ImportError:
        return load_from(folder for pattern in _FOLDERS for folder in sorted(glob(pattern), reverse=True))


def load_from(folders: Iterable[str]) -> dict[str, ModuleType]:
    """The modules of the first folder that has them all, for this Python; NotSupportedError if none has."""
    for folder in folders:
        if modules := _load_folder(folder):
            return modules
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise NotSupportedError(
        f"libvirt for Python {version}: not installed",
        hint="apt install python3-libvirt   (Fedora, RHEL: dnf install python3-libvirt)",
    )


def _load_folder(folder: str) -> dict[str, ModuleType]:
    """The modules in ``folder``; nothing if one is missing or made for another Python."""
    finder = importlib.machinery.FileFinder(
        folder,
        (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
        (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES),
    )
    loaded: dict[str, ModuleType] = {}
    try:
        for name in _MODULES:
            loaded[name] = _load_one(finder, name)
    except ImportError:
        for name in _MODULES:
            sys.modules.pop(name, None)
        return {}
    return loaded


def _load_one(finder: importlib.machinery.FileFinder, name: str) -> ModuleType:
    spec = finder.find_spec(name)
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # libvirt.py imports libvirtmod by name
    spec.loader.exec_module(module)
    return module


def _uncapitalised(text: str) -> str:
    """``Domain not found`` -> ``domain not found``; ``QEMU ...`` stays."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
