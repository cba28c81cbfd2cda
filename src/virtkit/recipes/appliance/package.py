"""A description and the files that it names: in a directory, or in an OVA, which is a tar archive (DSP0243, 5.3)."""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass, field
from io import BufferedReader
from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError, NotFoundError, SystemCallError, UsageError
from virtkit.disk import inside
from virtkit.disk.inside import Stretch
from virtkit.recipes.appliance import ovf, reading, vbox, vmx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.recipes.appliance.model import Appliance

MOST_MEMBERS = 4096
_MOST_HEADER = 1 << 20  # bytes; a long name, or what pax tells of a member
_PRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7z", b"\x28\xb5\x2f\xfd")  # gzip, bzip2, xz, zstd
_ONE_OVF = "expected one .ovf"


@dataclass(frozen=True)
class Package:
    path: str  # as the user named it
    description: str  # the file's name beside the others
    members: dict[str, Stretch] = field(default_factory=dict)  # of an archive

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.path}: {self.description}" if self.members else self.path

    @property
    def names(self) -> list[str]:
        """What there is beside the description."""
        return list(self.members) if self.members else sorted(os.listdir(os.path.dirname(self.path) or "."))

    def stretch(self, name: str) -> Stretch:
        """Where a file is. NotFoundError."""
        if self.members:
            if name not in self.members:
                raise NotFoundError(f"{self.path}: {name} is not in it", hint=f"tar tvf {self.path}")
            return self.members[name]
        path = os.path.join(os.path.dirname(self.path), name)
        folder = os.path.realpath(os.path.dirname(self.path) or ".")
        if os.path.commonpath([os.path.realpath(path), folder]) != folder:
            raise ImageError(f"{self.path}: file is {name}, a link that leads out of {folder}")
        if not os.path.exists(path):
            raise NotFoundError(f"{self.path}: {name} is not beside it", hint=f"ls -l {folder}")
        return Stretch(path, path)

    def read(self, name: str) -> bytes:
        return inside.read(self.stretch(name), reading.LARGEST)

    def appliance(self, system: str = "") -> Appliance:
        """``system``: which of several machines. ImageError, UsageError."""
        data = self.read(self.description)
        suffix = os.path.splitext(self.description)[1].lower()
        if suffix == ".ovf":
            return ovf.read(data, self.where, system)
        if system:
            raise UsageError(f"{self.path}: --system is for OVF, and a {suffix} describes one machine")
        return vmx.read(data, self.where) if suffix == ".vmx" else vbox.read(data, self.where)


def open_package(path: str) -> Package:
    """By the suffix, as every hypervisor does. NotFoundError, UsageError, ImageError."""
    suffix = os.path.splitext(path)[1].lower()
    if not os.path.exists(path):
        raise NotFoundError(f"{path}: no such file")
    if suffix in {".ovf", ".vmx", ".vbox"}:
        return Package(path, os.path.basename(path))
    if suffix != ".ova":
        raise UsageError(f"{path}: is called {suffix or 'without a suffix'}, expected .ova, .ovf, .vmx or .vbox")
    members = _index(path)
    found = [name for name in members if name.lower().endswith(".ovf")]
    if len(found) != 1:
        raise ImageError(f"{path}: holds {len(found)} descriptions, {_ONE_OVF}", hint=f"tar tvf {path}")
    return Package(path, found[0], members)


def _index(path: str) -> dict[str, Stretch]:
    """Where each member lies. A name that is there twice could be proven as the one and used as the other."""
    found: dict[str, Stretch] = {}
    for number, member in enumerate(_members(path)):
        if number >= MOST_MEMBERS:
            raise ImageError(f"{path}: holds more than {MOST_MEMBERS} files, expected an appliance")
        if not member.isreg() or member.issparse():
            continue
        name = member.name.removeprefix("./")
        if name in found:
            raise ImageError(f"{path}: holds {name} twice, expected each file once", hint=f"tar tvf {path}")
        found[name] = Stretch(path, f"{path}: {name}", member.offset_data, member.size)
    return found


class _Headers(BufferedReader):
    """What tarfile reads while it walks: a header that says that it is gigabytes long would be read at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _MOST_HEADER:
            raise ValueError(f"a header is {size} bytes long, expected at most {_MOST_HEADER}")
        return super().read(size)


def _members(path: str) -> Iterator[tarfile.TarInfo]:
    try:
        with _Headers(open(path, "rb", buffering=0)) as file:
            head = file.read(4)
            if head.startswith(_PRESSED):
                raise ImageError(f"{path}: is compressed as a whole, expected a plain tar archive", hint=f"file {path}")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                yield from archive
    except (tarfile.TarError, UnicodeError, ValueError, OverflowError, RecursionError) as error:
        raise ImageError(f"{path}: is no tar archive: {error}", hint=f"file {path}") from error
    except OSError as error:
        raise SystemCallError(f"read {path}", error) from error
