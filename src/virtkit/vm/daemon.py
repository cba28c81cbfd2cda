"""Starts root's libvirt where nobody else did: without systemd, as in a container, or with its units stopped."""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtkit.core.errors import CommandError, MachineError, NotFoundError, SystemCallError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System

SOCKETS = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock")  # one daemon for all; one for each driver
LOG_SOCKET = "/run/libvirt/virtlogd-sock"  # who writes down what a machine's QEMU says
LOCK = "/run/libvirt/virtkit.lock"
LOGS = "/var/log/libvirt"
UNITS = (  # Debian's way, Fedora's way (https://libvirt.org/daemons.html)
    ("libvirtd.socket",),
    ("virtqemud.socket", "virtnetworkd.socket", "virtstoraged.socket", "virtnodedevd.socket", "virtsecretd.socket"),
)
# The daemon looks for dnsmasq, ip and iptables; after `su` the caller's PATH has no sbin in it
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
LOCKS = "/run/lock"
KVM = "/dev/kvm"
_GROUP, _ALL = 0o060, 0o006  # modes: read and write
PATIENCE = 30.0  # seconds until a daemon that was started has to answer
INSTALL = "apt-get install --no-install-recommends libvirt-daemon-system"


def ensure_running(system: System) -> str | None:
    """Make root's libvirt answer; what was started for that, in words, or None if it answered already.

    Needs root. Many processes may call it at once: one starts the daemon, the others wait for it.
    MachineError with the daemon's own reason if it does not start; NotFoundError if it is not installed.
    """
    if _answers(system, *SOCKETS):
        return None
    with _one_at_a_time(system):
        if _answers(system, *SOCKETS):
            return None
        booted_by_systemd = system.exists("/run/systemd/system")  # sd_booted(3)
        started = _start_units(system) if booted_by_systemd else _start_daemons(system)
        _wait(system)
    return f"started {started}"


def _answers(system: System, *sockets: str) -> bool:
    """Whether a daemon listens on one of them: a socket's file alone may be left over from one that was killed."""
    return any(_listens(str(system.path(path))) for path in sockets)


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


@contextmanager
def _one_at_a_time(system: System) -> Iterator[None]:
    lock = system.path(LOCK)
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SystemCallError(f"open {LOCK}", error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _start_units(system: System) -> str:
    known = [units for units in UNITS if system.run(["systemctl", "cat", units[0]], check=False).status == 0]
    if not known:
        raise NotFoundError("libvirt: systemd has no libvirtd.socket and no virtqemud.socket", hint=INSTALL)
    enabled = [units for units in known if system.run(["systemctl", "is-enabled", units[0]], check=False).status == 0]
    units = (enabled or known)[0]
    try:
        system.run(["systemctl", "start", *units])
    except CommandError as error:
        raise MachineError(f"libvirt: {error.message}", hint=f"systemctl status {units[0]}") from error
    return ", ".join(units)


def _start_daemons(system: System) -> str:
    """``-d`` returns when the daemon listens, or with what is wrong."""
    system.path(LOGS).mkdir(parents=True, exist_ok=True)
    _make_lock_directory(system)
    daemons = ["libvirtd"] if _answers(system, LOG_SOCKET) else ["virtlogd", "libvirtd"]
    opened = _open_kvm(system)
    for daemon in daemons:
        _start(system, daemon)
    return " and ".join(daemons) + opened


def _make_lock_directory(system: System) -> None:
    """Consoles take a lock in /var/lock, which systemd makes (tmpfiles.d/legacy.conf) and a container has not."""
    locks = system.path(LOCKS)
    if not locks.exists():
        locks.mkdir()
        locks.chmod(0o1777)


def _open_kvm(system: System) -> str:
    """Do what udev's own rule does (50-udev-default.rules: GROUP="kvm", MODE="0660") where no udev has run.

    Without it libvirt never ends asking what QEMU can do: the QEMU that it asks may override permissions and finds
    KVM, then libvirt finds that machines may not open it, and throws the answer away. A define takes minutes.
    """
    path = system.path(KVM)
    group = next((entry.gr_gid for entry in grp.getgrall() if entry.gr_name == "kvm"), None)
    if group is None or not path.is_char_device():
        return ""
    status = path.stat()
    if status.st_mode & _ALL == _ALL or (status.st_gid == group and status.st_mode & _GROUP == _GROUP):
        return ""
    try:
        os.chown(path, -1, group)
        path.chmod(0o660)
    except OSError as error:
        raise SystemCallError(f"give {KVM} to group kvm", error) from error
    return f"; gave {KVM} to group kvm, as udev does"


def _start(system: System, daemon: str) -> None:
    log = f"{LOGS}/{daemon}.log"
    logged = len(system.read_or(log, ""))
    try:
        system.run([f"/usr/sbin/{daemon}", "-d"], env=ENVIRONMENT)
    except NotFoundError as error:
        raise NotFoundError(error.message, hint=INSTALL) from error
    except CommandError as error:
        # before it goes to the background it complains on standard error, later in its log
        said = (system.read_or(log, "")[logged:] or error.stderr).strip().splitlines()
        reason = said[-1] if said else f"exit status {error.status}"
        raise MachineError(f"{daemon} does not start: {reason}", hint=f"less {log}") from error


def _wait(system: System) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _answers(system, *SOCKETS):
        if time.monotonic() > deadline:
            said = system.read_or(f"{LOGS}/libvirtd.log", "").splitlines()
            reason = f"; it said last: {said[-1]}" if said else ""
            raise MachineError(f"libvirt does not answer {PATIENCE:g} s after its start{reason}", hint=f"ls -l {LOGS}")
        time.sleep(0.05)
