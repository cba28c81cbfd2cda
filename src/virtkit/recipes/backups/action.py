"""One more point in a machine's backups."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit import disk
from virtkit.core.errors import BusyError, SystemCallError, VerifyError, VirtkitError
from virtkit.core.progress import Note, silent
from virtkit.core.system import System
from virtkit.recipes.backups import pulling, store
from virtkit.recipes.backups.digest import ACCESS, content
from virtkit.vm import homes, process
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.agent import Agent
from virtkit.vm.backups import job
from virtkit.vm.backups.paused import awake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.vm.machine import Machine

_PASSABLE = 0o711  # QEMU runs as a user of its own; the images themselves are for their owner alone


@dataclass(frozen=True)
class BackUp(MachineAction):
    """QEMU writes the disks, running or, for this, paused; they are read back before the point gets its name."""

    kind: ClassVar[str] = "recipes.back_up"
    sign: ClassVar[str] = "+"
    holds_data: ClassVar[bool] = True

    target: str  # the directory
    number: int
    checkpoint: str  # that begins now; empty: no disk keeps bitmaps
    tracked: list[str]  # the disks that keep them
    since: dict[str, Json]  # by disk the checkpoint after which it changed; empty: all of it
    parents: dict[str, Json]  # by disk the point that it will stand on; 0: none
    why: dict[str, Json]  # by disk why it is full although less was asked for
    freeze: bool = False
    pull: bool = False  # we read what QEMU offers and write the images; else QEMU does
    compress: bool = False  # by zlib; pull mode alone

    def describe(self) -> str:
        changed = [name for name, since in self.since.items() if since]
        full = [name for name, since in self.since.items() if not since]
        parts = [f"{_words(full)} in full"] if full else []
        parts += [f"what changed of {_words(changed)}"] if changed else []
        how = ", compressed" if self.compress else ", read through QEMU's socket" if self.pull else ""
        return f"machine {self.name}: back up {', '.join(parts)} as {store.folder(self.target, self.number)}{how}"[:190]

    def capture(self, system: System) -> Json:
        """The point's inode; None while it is not whole."""
        try:
            return os.stat(store.folder(self.target, self.number)).st_ino
        except OSError:
            return None

    def apply(self, system: System, report: Sink) -> None:
        with _locked(self.target), self._open() as libvirt:
            machine = libvirt.named(self.name)
            self._clear(machine)
            os.mkdir(self._part)
            os.chmod(self._part, _PASSABLE)
            point = self._write(machine, report)
            store.write(point, self._part)
            os.rename(self._part, store.folder(self.target, self.number))
            store.sync([self.target])
            job.forget(machine, [name for name in self._ours(machine) if name != self.checkpoint])

    def verify(self, system: System) -> None:
        """A disk in full, of a machine that is off, has not changed since: it is compared byte by byte."""
        point = next((one for one in store.points(self.target) if one.number == self.number), None)
        if point is None:
            raise VerifyError(self.describe(), "is not there")
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            sources = {} if machine.active else {each.target: each for each in machine.next_start().disks}
        for volume in point.volumes:
            if volume.since or volume.target not in sources:
                continue
            source, copy = sources[volume.target], store.image(self.target, self.number, volume.target)
            result = disk.compare(
                source.source, copy, left_format=source.format, right_format="qcow2", access=ACCESS, report=silent
            )
            if not (result.same_content and result.same_size):
                raise VerifyError(self.describe(), f"{copy} differs from {source.source} at byte {result.offset}")

    def undo(self, system: System, before: Json) -> None:
        if before is not None:
            return
        with self._open() as libvirt:
            if (machine := libvirt.find(self.name)) is not None:
                if job.running(machine, self._part, self._mark):
                    job.call_off(machine)
                self._sweep(machine)
                if self.freeze and machine.active:
                    Agent(machine).thaw()
                job.forget(machine, [self.checkpoint])
        store.remove(self._part)
        store.remove(store.folder(self.target, self.number))

    @property
    def _part(self) -> str:
        return store.folder(self.target, self.number, part=True)

    def _clear(self, machine: Machine) -> None:
        """What somebody left who was killed: nobody else has the lock."""
        if job.running(machine, self.target, prefix(self.target)):
            job.call_off(machine)
        self._sweep(machine)
        for name in store.unfinished(self.target):
            store.remove(os.path.join(self.target, name))

    def _ours(self, machine: Machine) -> list[str]:
        """The checkpoints of backups that went to this directory."""
        names = [each.ask(str, "getName") for each in job.checkpoints(machine)]
        return [name for name in names if name.startswith(prefix(self.target))]

    def _write(self, machine: Machine, report: Sink) -> store.Point:
        state, xml, taken = machine.state, machine.next_start().text(), time.time()
        with awake(machine):
            socket = self._socket(machine) if self.pull else ""
            lost = self._begin(machine, report, socket)
            if socket:
                self._pull(machine, socket, lost, report)
            else:
                job.finish(machine, self._part, f"back up {self.name}", report)
        volumes = tuple(self._volume(target, lost, report) for target in self.since)
        calm = self.freeze
        return store.Point(self.number, taken, machine.name, machine.uuid, state, calm, self.checkpoint, volumes, xml)

    def _begin(self, machine: Machine, report: Sink, socket: str) -> str:
        """Why all is full although less was planned: libvirt lost track of what changed. Else empty."""
        out = [each.target for each in machine.now().disks if each.target not in self.since]
        untracked = [target for target in (*self.since, *out) if target not in self.tracked]
        mark = job.checkpoint(self.checkpoint, self.tracked, untracked) if self.checkpoint else ""
        with _frozen(machine, wanted=self.freeze):
            try:
                job.begin(machine, job.request(self._copies(machine), out, socket), mark)
            except VirtkitError as error:
                if not (any(self.since.values()) and job.lost_track(error)):
                    raise
                why = error.message
                job.forget(machine, self._ours(machine))
                job.begin(machine, job.request(self._copies(machine, full=True), out, socket), mark)
                report(Note(f"back up {self.name}", f"in full again: {why}"))
                return why
        return ""

    def _copies(self, machine: Machine, *, full: bool = False) -> dict[str, job.Copy]:
        files = self._scratches(machine) if self.pull else {target: self._file(target) for target in self.since}
        return {target: job.Copy(files[target], "" if full else str(since)) for target, since in self.since.items()}

    def _file(self, target: str) -> str:
        return os.path.join(self._part, f"{target}.qcow2")

    def _scratches(self, machine: Machine) -> dict[str, str]:
        """What the guest overwrites meanwhile, beside its disks: QEMU reaches that place."""
        return {
            each.target: os.path.join(_home(each.source, self.uri), f"{machine.name}-{each.target}.{self._mark}")
            for each in machine.now().disks
            if each.target in self.since
        }

    @property
    def _mark(self) -> str:
        return f"{prefix(self.target)}{self.number:04d}.scratch"

    def _sweep(self, machine: Machine) -> None:
        """Libvirt deletes them when a job ends; not if it was killed."""
        for file in self._scratches(machine).values():
            with suppress(FileNotFoundError):
                os.unlink(file)

    def _socket(self, machine: Machine) -> str:
        system = System()
        return os.path.join(process.own_directory(system, process.process_id(system, machine.name)), "virtkit-backup")

    def _pull(self, machine: Machine, socket: str, lost: str, report: Sink) -> None:
        try:
            for target in self.since:
                parent = 0 if lost else self._parent(target)
                below = store.below(parent, target) if parent else ""
                pulling.pull(socket, target, self._file(target), below, report, compress=self.compress)
        finally:
            job.call_off(machine)
            self._sweep(machine)

    def _parent(self, target: str) -> int:
        number = self.parents.get(target)
        return number if isinstance(number, int) else 0

    def _volume(self, target: str, lost: str, report: Sink) -> store.Volume:
        """QEMU's image names the machine's own disk as what lies below it, which goes on: the point before is meant."""
        file, parent = self._file(target), 0 if lost else self._parent(target)
        if parent and not self.pull:
            disk.rebase(file, store.below(parent, target), "qcow2", unsafe=True, source_format="qcow2")
        found = content(file, report)
        why = lost if lost and self.since[target] else str(self.why.get(target, ""))
        return store.Volume(target, parent, why, found.size, found.digest)


def _home(source: str, uri: str) -> str:
    """A device's own directory is no place for files."""
    return homes.images(uri) if source.startswith("/dev/") else os.path.dirname(source)


def prefix(target: str) -> str:
    """Of the names of the checkpoints of backups to this directory."""
    import hashlib

    return f"virtkit-{hashlib.sha256(os.path.realpath(target).encode()).hexdigest()[:8]}-"


@contextmanager
def _locked(target: str) -> Iterator[None]:
    """One backup at a time goes to a directory, which is made if it is not there."""
    try:
        if not os.path.isdir(target):
            os.mkdir(target)
            os.chmod(target, _PASSABLE)
        descriptor = os.open(target, os.O_RDONLY)
    except OSError as error:
        raise SystemCallError(f"make {target}", error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BusyError(f"{target}: another backup goes there now", hint=f"fuser -v {target}") from error
    finally:
        os.close(descriptor)


@contextmanager
def _frozen(machine: Machine, *, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    try:
        Agent(machine).freeze()
        yield
    finally:
        Agent(machine).thaw()


def _words(targets: list[str]) -> str:
    return " and ".join(targets)
