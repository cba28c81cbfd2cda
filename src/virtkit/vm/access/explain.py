"""Says why QEMU does not get at its files: before a start where modes and ACLs show it, else after the refusal."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError, NotFoundError, NotSupportedError, VirtkitError
from virtkit.core.system import System
from virtkit.vm.access import denials, user, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.vm.access.user import User
    from virtkit.vm.access.walk import Obstacle
    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine

_REFUSED = "ermission denied"
_PATH = re.compile(r"'(/[^']+)'|\"(/[^\"]+)\"|(?:file|path|open) (/\S+?)[:,\s]")
_SAFE = re.compile(r"setfacl -m (\S+) (.+)")


def require(libvirt: Connection, domain: Domain, system: System, also: Sequence[str] = ()) -> None:
    """NotSupportedError where QEMU could not get to a file of ``domain``, or to ``also``; they may not be there yet."""
    reach = _Reach.of(libvirt, domain, system)
    for path in (*files(domain), *also):
        if found := reach.stopped(path):
            raise NotSupportedError(f"{domain.name}: {found[0]}", hint=f"{found[1]}   (or another place)")


def notes(libvirt: Connection, paths: Sequence[str], system: System, domain: Domain | None = None) -> list[str]:
    """The same as lines of a plan, for what is not started at once."""
    reach = _Reach.of(libvirt, domain, system)
    found = dict.fromkeys(filter(None, map(reach.stopped, paths)))
    return [f"{told}; to mend it: {mend}" for told, mend in found]


def stopped(libvirt: Connection, path: str, system: System, domain: Domain | None = None) -> tuple[str, str] | None:
    """What stops QEMU's user on the way to ``path``, and the command that mends it; None: nothing that shows."""
    return _Reach.of(libvirt, domain, system).stopped(path)


class _Reach(NamedTuple):
    runs_as: User | None  # None: nobody can say
    system: System
    domain: Domain | None
    session: bool  # an ordinary user's libvirt cannot give a file to anybody

    @classmethod
    def of(cls, libvirt: Connection, domain: Domain | None, system: System) -> _Reach:
        return cls(user.of(libvirt, domain), system, domain, libvirt.session)

    def stopped(self, path: str) -> tuple[str, str] | None:
        if self.runs_as is None:
            return None
        found = walk.obstacles(self.system, self.runs_as, path, self._need(path))
        return (_told(self.runs_as, path, found), _mends(found)) if found else None

    def _need(self, path: str) -> int:
        """Of the file itself; 0 where libvirt gives it to QEMU's user."""
        if not (self.session or user.keeps_owners(self.system, self.domain)):
            return 0
        written = {disk.source for disk in self.domain.disks if not disk.read_only} if self.domain else set()
        return walk.READ | walk.WRITE if path in written else walk.READ


def files(domain: Domain) -> list[str]:
    """What QEMU opens by name: disks that are files, its kernel and initramfs."""
    named = [disk.source for disk in domain.disks if disk.type == "file"]
    named += [domain.node.findtext(f"os/{tag}") or "" for tag in ("kernel", "initrd")]
    return [path for path in named if path.startswith("/")]


@contextmanager
def explained(machine: Machine) -> Iterator[None]:
    """Around what makes QEMU open files: a refusal comes out with its reason and what to type."""
    try:
        yield
    except MachineError as error:
        if _REFUSED not in error.message:
            raise
        from virtkit.vm import connection

        with connection.open(machine.uri) as libvirt:
            told, hint = _why(libvirt, machine, error, System())
        raise MachineError(f"{machine.name}: {told}", hint=hint) from error


def _why(libvirt: Connection, machine: Machine, error: VirtkitError, system: System) -> tuple[str, str]:
    paths, domain = _named(error.message), _domain(machine)
    reach = _Reach.of(libvirt, domain, system)
    for path in dict.fromkeys([*paths, *(files(domain) if domain else [])]):
        if found := reach.stopped(path):
            return found
    if denial := denials.about(denials.parse(denials.read(system)), machine.uuid, paths):
        return denials.told(denial), denials.mend(denial, paths[0] if paths else denial.path)
    return _unknown(machine.name, error, paths[0] if paths else "", system)


def _unknown(name: str, error: VirtkitError, path: str, system: System) -> tuple[str, str]:
    said = error.message.partition(": ")[2] or error.message
    kind = _mount(system, path) if path else ""
    if kind.startswith("nfs"):
        told = f"{said}; {path} is on NFS, whose server (root_squash) does not let libvirt give it to QEMU's user"
        return told, "on the server: chown the file to QEMU's user, or chmod o+rw it; or: export it no_root_squash"
    hint = f"journalctl -k | grep -iE 'apparmor|avc'; virtkit vm show {name}   (its security driver)"
    return f"{said}; modes and ACLs on the way do not show why, and no log of AppArmor or SELinux names it", hint


def _named(message: str) -> list[str]:
    return [next(filter(None, groups)) for groups in _PATH.findall(f"{message} ")]


def _domain(machine: Machine) -> Domain | None:
    try:
        return machine.next_start() if machine.persistent else machine.now()
    except NotFoundError:
        return None


def _told(runs_as: User, path: str, found: Sequence[Obstacle]) -> str:
    more = f" and {len(found) - 1} more on that way" if len(found) > 1 else ""
    way = "" if found[0].path == path else f" on the way to {path}"
    return f"QEMU's user {runs_as.name} {found[0].found}{way}{more}"


def _mends(found: Sequence[Obstacle]) -> str:
    """One command for all where it is the same."""
    safe = [_SAFE.fullmatch(each.mend) for each in found]
    if all(safe) and len({each[1] for each in safe if each}) == 1:
        return f"{found[0].mend} {' '.join(each[2] for each in safe[1:] if each)}".rstrip()
    return " && ".join(each.mend for each in found)


def _mount(system: System, path: str) -> str:
    """The file system that holds ``path``: proc_pid_mounts(5)."""
    points = [line.split() for line in system.read_or("/proc/self/mounts", "").splitlines()]
    above = [(words[1], words[2]) for words in points if f"{path}/".startswith(f"{words[1].rstrip('/')}/")]
    return max(above, key=lambda point: len(point[0]), default=("", ""))[1]
