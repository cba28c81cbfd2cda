"""An image mended so that nothing is lost: every byte that is overwritten goes to an undo file first."""

from __future__ import annotations

import os
from contextlib import closing
from itertools import count
from typing import NamedTuple

from virtkit.core.errors import CorruptImageError, NotSupportedError, SystemCallError, UsageError, VirtkitError
from virtkit.core.progress import Event, Note, Sink, silent
from virtkit.disk import catalog
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.file import File
from virtkit.disk.format import Findings, Image, RepairableFormat
from virtkit.disk.mending import undofile
from virtkit.disk.mending.rehearsal import Change, Rehearsal
from virtkit.disk.mending.undofile import Recorded

_PRIVATE = 0o600  # what an undo file holds was in the image


class Rehearsed(NamedTuple):
    """What a repair would do."""

    format: str
    before: Findings
    after: Findings
    changes: tuple[str, ...]  # in words
    stretches: tuple[Change, ...]  # of the file, in bytes
    size_before: int  # bytes of the file
    size_after: int


class Repaired(NamedTuple):
    """What a repair did; without an ``undo`` file there was nothing to do."""

    format: str
    before: Findings
    after: Findings
    changes: tuple[str, ...]
    undo: str | None

    @property
    def corruptions_fixed(self) -> int:
        return max(self.before.corruptions - self.after.corruptions, 0)

    @property
    def leaks_fixed(self) -> int:
        return max(self.before.leaks - self.after.leaks, 0)


def rehearse_repair(
    path: str, source_format: str | None = None, *, leaks_only: bool = False, access: Access = READ_ONLY
) -> Rehearsed:
    """What ``repair`` would do, to the byte; nothing is changed. NotSupportedError where the format has no repair."""
    opened = File.open(path, shared=access.shared)
    file = Rehearsal(opened.fd, opened.name)
    with closing(_Work(file, access)) as work:
        size = file.size
        name, before, after = work.run(source_format, leaks_only=leaks_only)
        return Rehearsed(name, before, after, tuple(work.changes), tuple(file.stretches()), size, file.size)


def repair(
    path: str,
    source_format: str | None = None,
    *,
    leaks_only: bool = False,
    undo: str | None = None,
    access: Access = READ_ONLY,
    report: Sink = silent,
) -> Repaired:
    """Mend what ``check`` finds: leaks, or everything.

    What is overwritten goes to a new file first, ``undo`` or one beside the image, which ``take_back`` takes. It is
    named in the answer; None where there was nothing to mend. UsageError where ``undo`` exists.
    """
    plan = rehearse_repair(path, source_format, leaks_only=leaks_only, access=access._replace(shared=True))
    opened = File.open(path, writable=True)
    if not plan.stretches:
        opened.close()
        return Repaired(plan.format, plan.before, plan.after, (), None)
    try:
        log = _create(undo) if undo else _create_beside(opened)
    except BaseException:
        opened.close()
        raise
    file = Recorded(opened.fd, opened.name, log)
    with closing(_Work(file, access, report)) as work:
        try:
            name, before, after = work.run(plan.format, leaks_only=leaks_only)
            file.seal()
        except VirtkitError as error:
            if file.changed:
                error.hint = f"virtkit disk repair --take-back {log.name} {path}"
            raise
        finally:
            if not file.changed:
                os.unlink(log.name)
    return Repaired(name, before, after, tuple(work.changes), log.name)


def take_back(path: str, undo: str, *, force: bool = False) -> int:
    """Give ``path`` the bytes that it had before its repair, also one that was broken off; may be done again.

    Returns how many pieces were put back.
    UsageError where ``undo`` is no undo file; ConflictError where the image was changed since, unless ``force``.
    """
    with closing(File.open(path, writable=True)) as file, closing(File.open(undo, writable=True)) as log:
        return undofile.take_back(file, log, force=force)


def _create_beside(image: File) -> File:
    if image.is_device:
        raise UsageError(f"{image.name}: is a block device, beside which no file is made", hint="--undo-file FILE")
    names = (f"{image.name}.undo{number}" for number in count(1))
    return _create(next(name for name in names if not os.path.lexists(name)))


def _create(name: str) -> File:
    """An empty file whose name is on stable storage."""
    directory = os.path.dirname(name) or "."
    try:
        file = File(os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE), name)
        parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.fsync(parent)
        os.close(parent)
    except FileExistsError as error:
        raise UsageError(f"{name}: exists already", hint="another name: --undo-file FILE") from error
    except OSError as error:
        raise SystemCallError(f"create {name}", error) from error
    return file


class _Work:
    """One repair of ``file``, which is closed with it."""

    def __init__(self, file: File, access: Access, report: Sink = silent) -> None:
        self._file, self._access, self._report = file, access._replace(writable=False), report
        self._image: Image | None = None
        self.changes: list[str] = []

    def run(self, source_format: str | None, *, leaks_only: bool) -> tuple[str, Findings, Findings]:
        """The format, and what was found before and after."""
        name = catalog.choose(self._file, source_format, trust_format=self._access.trust_format)
        kind = catalog.load(name)
        if not isinstance(kind, RepairableFormat):
            raise NotSupportedError(f"{self._file.name}: format {name} has nothing that could be repaired")
        self._image = kind.open(self._file, self._access)
        before = self._count(kind, self._image)
        return name, before, kind.repair(self._image, leaks_only=leaks_only, report=self._hear)

    def close(self) -> None:
        (self._image or self._file).close()

    def _count(self, kind: RepairableFormat, image: Image) -> Findings:
        try:
            return kind.check(image)
        except CorruptImageError as error:  # what cannot even be counted may still be mended
            return Findings(1, 0, 0, 0, 0, details=(error.message,))

    def _hear(self, event: Event) -> None:
        if isinstance(event, Note):
            self.changes.append(event.text)
        self._report(event)
