"""The distribution's packages, fetched and unpacked without being installed."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CommandError, NotFoundError, NotSupportedError
from virtkit.core.progress import Finished, Note, Started

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from virtkit.core.progress import Sink
    from virtkit.core.system import System

KERNEL = "linux-image-cloud-amd64"  # holds nothing; depends on the present kernel's own package
AGENT = "qemu-guest-agent"
TOOLS = ("busybox-static", "syslinux", "syslinux-common", "mtools", "dosfstools")
LISTS = "/var/lib/apt/lists"
SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/preferences.d", LISTS)

_STEP = "guest packages"
_DOWNLOAD_SECONDS = 900
_ONLY_DEPENDS = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances", "pre-depends")


class Package(NamedTuple):
    name: str
    version: str
    size: int  # bytes of the .deb

    @property
    def archive(self) -> str:
        """How the .deb's name starts; the architecture follows."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_"


def known(system: System) -> str:
    """A digest that changes when apt may have learned of other versions; looking at it takes no time."""
    seen = hashlib.sha256()
    for place in SOURCES:
        for path in [place, *(f"{place}/{name}" for name in system.names(place))]:
            if system.exists(path):
                status = os.stat(system.path(path))
                seen.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return seen.hexdigest()


def resolve(system: System, report: Sink) -> list[Package]:
    """What the guest is made of, in the versions that apt offers now. NotSupportedError where there is no such apt."""
    if not any(name.endswith(("Packages", "Packages.lz4", "Packages.gz")) for name in system.names(LISTS)):
        update(system, report)
    try:
        return _resolve(system)
    except NotFoundError as error:
        raise NotSupportedError(
            "demo guest: this host has no apt-cache, expected Debian, whose packages it is built from",
            hint="virtkit up FILE, with an image of your own",
        ) from error
    except CommandError as error:
        raise NotSupportedError(
            f"demo guest: apt does not offer its packages, expected Debian for amd64 ({error.message})",
            hint="apt-get update",
        ) from error


def update(system: System, report: Sink) -> None:
    report(Note(_STEP, "waiting for apt-get update"))
    try:
        system.run(["apt-get", "-q", "update"], timeout=_DOWNLOAD_SECONDS)
    except NotFoundError as error:
        raise NotSupportedError("demo guest: this host has no apt-get, expected Debian") from error


def fetch(packages: Sequence[Package], directory: Path, system: System, report: Sink) -> None:
    """Bring the .debs that are missing into ``directory`` and remove what is no longer wanted."""
    for path in _strangers(packages, directory):
        path.unlink()
    missing = [package for package in packages if not find(package, directory)]
    if not missing:
        return
    report(Started(_STEP))
    exact = [f"{package.name}={package.version}" for package in missing]
    command = ["env", "-C", str(directory), "apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *exact]
    try:
        system.run(command, timeout=_DOWNLOAD_SECONDS)
    except CommandError:  # lists that are older than the archive name files that are gone
        update(system, report)
        system.run(command, timeout=_DOWNLOAD_SECONDS)
    report(Finished(_STEP))


def find(package: Package, directory: Path) -> Path | None:
    return next((path for path in directory.glob("*.deb") if path.name.startswith(package.archive)), None)


def unpack(packages: Sequence[Package], directory: Path, root: Path, system: System) -> None:
    """Lay the files of the fetched packages below ``root``; none of their scripts runs."""
    for package in packages:
        if archive := find(package, directory):
            system.run(["dpkg-deb", "-x", str(archive), str(root)])


def _resolve(system: System) -> list[Package]:
    kernel = _kernel(system)
    only = [f"--no-{word}" for word in _ONLY_DEPENDS]
    listed = system.run(["apt-cache", "depends", "--recurse", *only, AGENT]).stdout.splitlines()
    agent = [line for line in listed if line and line[0] not in " |<"]
    shown = system.run(["apt-cache", "show", "--no-all-versions", kernel, *TOOLS, *agent]).stdout
    found = {
        record["Package"]: Package(record["Package"], record["Version"], int(record["Size"]))
        for record in _records(shown)
    }
    return [found[name] for name in sorted(found)]


def _kernel(system: System) -> str:
    shown = system.run(["apt-cache", "show", "--no-all-versions", KERNEL]).stdout
    for record in _records(shown):
        for needed in record.get("Depends", "").split(", "):
            name = needed.partition(" ")[0]
            if name.startswith("linux-image-"):
                return name
    raise NotSupportedError(f"{KERNEL}: depends on no kernel, expected linux-image-VERSION")


def _records(text: str) -> Iterator[dict[str, str]]:
    """The paragraphs of a control file, without their continuation lines (Debian policy, section 5.1)."""
    for paragraph in text.strip().split("\n\n"):
        lines = (line for line in paragraph.splitlines() if line[:1].strip())
        yield {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _strangers(packages: Sequence[Package], directory: Path) -> list[Path]:
    starts = tuple(package.archive for package in packages)
    return [path for path in directory.glob("*.deb") if not path.name.startswith(starts)]
