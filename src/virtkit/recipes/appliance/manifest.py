"""What proves that a package arrived whole: a line with a digest for each file. DSP0243, 5.1."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import ImageError
from virtkit.core.progress import Advanced, Finished, Started, silent
from virtkit.core.units import MIB
from virtkit.disk.file import File
from virtkit.recipes.appliance import reading

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.disk.inside import Stretch
    from virtkit.recipes.appliance.package import Package

_LINE = re.compile(r"(SHA1|SHA256|SHA384|SHA512)\s*\((.+)\)\s*=\s*([0-9a-fA-F]+)\s*")
_LENGTHS = {"SHA1": 40, "SHA256": 64, "SHA384": 96, "SHA512": 128}  # hexadecimal digits


class Entry(NamedTuple):
    algorithm: str
    file: str
    digest: str


def find(package: Package) -> str:
    """Its name beside the description; empty where there is none."""
    wanted = os.path.splitext(package.description)[0] + ".mf"
    return wanted if package.description.lower().endswith(".ovf") and wanted in package.names else ""


def entries(package: Package) -> list[Entry]:
    """ImageError for a line that says something else."""
    name = find(package)
    found = []
    for number, line in enumerate(reading.decoded(package.read(name), name).splitlines(), 1):
        parts = _LINE.fullmatch(line.strip())
        if parts:
            found.append(Entry(parts[1], parts[2].strip(), parts[3].lower()))
        if (line.strip() and not parts) or (parts and len(parts[3]) != _LENGTHS[parts[1]]):
            told = f"line {number} is {line[:60]!r}, expected ALGORITHM(FILE)= DIGEST"
            raise ImageError(f"{package.path}: {name}: {told}")
    return found


def prove(package: Package, report: Sink = silent) -> None:
    """ImageError names the first file that is not what the manifest says; NotFoundError one that is missing."""
    for entry in entries(package):
        found = _digest(package.stretch(entry.file), entry.algorithm, report)
        if found != entry.digest:
            told = f"{entry.algorithm} of {entry.file} is {found[:16]}..., expected {entry.digest[:16]}..."
            raise ImageError(
                f"{package.path}: {told}: it was changed, or did not arrive whole",
                hint="fetch it again; or, if you know why: --ignore-manifest",
            )


def _digest(stretch: Stretch, algorithm: str, report: Sink) -> str:
    file = File.open(stretch.path)
    try:
        end = file.size if stretch.length is None else stretch.start + stretch.length
        step, digest, at = f"check {stretch.name}", hashlib.new(algorithm.lower()), stretch.start
        report(Started(step, end - stretch.start))
        while at < end and (chunk := file.read(at, min(MIB, end - at))):
            digest.update(chunk)
            at += len(chunk)
            report(Advanced(step, at - stretch.start))
        report(Finished(step))
        return digest.hexdigest()
    finally:
        file.close()
