"""Where built guests are kept, by the packages and the builder that made them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.directories import sync_directory
from virtkit.core.errors import NotFoundError, SystemCallError
from virtkit.core.progress import Finished, Note, Started
from virtkit.recipes.guest import disk, initramfs, packages
from virtkit.recipes.guest.packages import Package

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.resources.abc import Traversable

    from virtkit.core.progress import Sink
    from virtkit.core.system import System

_STEP = "demo guest"


class Guest(NamedTuple):
    kernel: Path
    initramfs: Path
    disk: Path


def cache(system: System) -> Path:
    chosen = os.environ.get("VIRTKIT_CACHE_DIR")
    return Path(chosen).absolute() if chosen else system.path("/var/cache/virtkit")


def prepared(system: System, report: Sink) -> Guest:
    """The guest of today's packages, built if it is not there yet. One process builds, others wait for it."""
    folder = cache(system) / "guest"
    try:
        with _locked(folder, report):
            wanted = _resolved(folder, system, report)
            home = folder / _key(wanted)
            if not home.exists():
                _build(home, wanted, system, report)
    except OSError as error:
        hint = "VIRTKIT_CACHE_DIR=DIRECTORY virtkit demo"
        raise SystemCallError(f"keep the demo guest in {folder}", error, hint=hint) from error
    return Guest(home / "vmlinuz", home / "initrd.gz", home / "disk.raw")


@contextmanager
def _locked(folder: Path, report: Sink) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(Note(_STEP, "waiting for another process that builds it"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _resolved(folder: Path, system: System, report: Sink) -> list[Package]:
    """As apt says; asked again only after its lists changed, because asking takes seconds."""
    answer = folder / "packages"
    known = packages.known(system)
    if answer.exists():
        first, *lines = answer.read_text().splitlines()
        if first == known:
            return [Package(name, version, int(size)) for name, version, size in (line.split() for line in lines)]
    wanted = packages.resolve(system, report)
    lines = [packages.known(system), *(f"{package.name} {package.version} {package.size}" for package in wanted)]
    beside = folder / "packages.new"
    beside.write_text("\n".join(lines) + "\n")
    beside.rename(answer)
    return wanted


def _key(wanted: Sequence[Package]) -> str:
    """Everything that decides what the guest is: the packages, and this folder's own files."""
    digest = hashlib.sha256(repr(sorted(wanted)).encode())
    for path, content in sorted(_files(resources.files("virtkit.recipes.guest"))):
        digest.update(f"{path} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]


def _files(folder: Traversable, below: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.name == "__pycache__":
            continue
        if entry.is_dir():
            yield from _files(entry, f"{below}{entry.name}/")
        else:
            yield f"{below}{entry.name}", entry.read_bytes()


def _build(home: Path, wanted: Sequence[Package], system: System, report: Sink) -> None:
    """In a directory beside ``home``, renamed when it is whole and on the disk."""
    archives = home.parent / "packages.d"
    archives.mkdir(exist_ok=True)
    packages.fetch(wanted, archives, system, report)
    report(Started(_STEP))
    with TemporaryDirectory(prefix=".build-", dir=home.parent) as work:
        root, made = Path(work, "root"), Path(work, "made")
        root.mkdir()
        made.mkdir()
        packages.unpack(wanted, archives, root, system)
        _make(root, made, system)
        made.rename(home)
        sync_directory(home.parent)
    report(Finished(_STEP))


def _make(root: Path, made: Path, system: System) -> None:
    release = _release(root)
    kernel = (root / "boot" / f"vmlinuz-{release}").read_bytes()
    archive = initramfs.build(root, release, system)
    (made / "vmlinuz").write_bytes(kernel)
    (made / "initrd.gz").write_bytes(archive)
    disk.build(made / "disk.raw", kernel, archive, root, system)
    shutil.rmtree(made / "disk.files")
    for path in made.iterdir():
        with path.open("rb") as file:
            os.fsync(file)


def _release(root: Path) -> str:
    """The kernel's version as /lib/modules names it."""
    found = sorted(path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*"))
    if not found:
        raise NotFoundError("kernel package: holds no /boot/vmlinuz-*")
    return found[-1]
