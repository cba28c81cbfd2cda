"""commit, rebase and compact, killed at any moment: the disk reads as before, nothing is corrupt, a second run ends.

Every format that is written in place is found by itself.
"""

from __future__ import annotations

import subprocess
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from support.depth import deep
from support.images import KIB, read_by_qemu
from support.killing import killed, moments
from support.layers import (
    FORMATS,
    SIZE,
    WRITABLE,
    copied,
    created,
    ground,
    known_to_qemu,
    laid,
    patterned,
)
from virtkit import disk
from virtkit.disk.chain import Chain, open_layers
from virtkit.disk.format import CheckableFormat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.qemu

FEW = deep(5)  # moments for each verb and format
LEAKS, COULD_NOT_CHECK = 3, 63  # exit statuses of qemu-img check


class Laid(NamedTuple):
    """An image on "old"; "new" reads otherwise in places."""

    folder: Path
    format: str
    on: str
    content: bytes

    def image(self, folder: Path) -> Path:
        return folder / f"image.{self.format}"


@pytest.fixture(scope="module", params=sorted(WRITABLE - {"raw"}))
def overlay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Laid:
    format_: str = request.param
    probe = tmp_path_factory.mktemp("probe")
    on = ground(probe, format_, "")
    folder = tmp_path_factory.mktemp("killed")
    content = bytearray(patterned(200 * KIB, "old").ljust(SIZE, b"\0"))
    laid(folder / f"old.{on}", on, patterned(200 * KIB, "old"))
    laid(folder / f"new.{on}", on, patterned(90 * KIB, "old") + patterned(400 * KIB, "new"))
    path = created(folder / f"image.{format_}", format_, "", backing=f"old.{on}", on=on)
    with disk.open(str(path), "r+", format_) as opened:
        for at, length in ((0, 70 * KIB), (130 * KIB + 512, 3 * KIB), (250 * KIB, SIZE - 250 * KIB)):
            content[at : at + length] = patterned(length, "top")
            opened.write(at, patterned(length, "top"))
        opened.zero(64 * KIB, 64 * KIB)
        content[64 * KIB : 128 * KIB] = bytes(64 * KIB)
    return Laid(folder, format_, on, bytes(content))


def guest(path: Path, format_: str) -> bytes:
    """Whatever the image says of the state of what it stands on."""
    chain = Chain(open_layers(str(path), format_, trust_heirs=True))
    try:
        return chain.read(0, chain.size)
    finally:
        chain.close()


def not_corrupt(path: Path, format_: str) -> None:
    if isinstance(FORMATS[format_], CheckableFormat):
        findings = disk.check(str(path), format_).findings
        assert findings.corruptions == 0, findings
    if format_ in known_to_qemu() - {"vdi"}:  # QEMU calls a leaked block of a VDI an error
        done = subprocess.run(["qemu-img", "check", "-f", format_, path], capture_output=True, text=True, check=False)
        assert done.returncode in {0, LEAKS, COULD_NOT_CHECK}, done.stdout + done.stderr


def at_every_moment(made: Laid, verb: Callable[[Path], object], after: Callable[[Path], object]) -> None:
    for moment in moments(lambda: verb(made.image(copied(made.folder))), FEW):
        path = made.image(copied(made.folder))
        assert killed(partial(verb, path), moment)
        assert guest(path, made.format) == made.content, moment
        for name, format_ in ((path, made.format), (path.with_name(f"old.{made.on}"), made.on)):
            not_corrupt(name, format_)
        after(path)


def test_a_killed_commit_is_finished_by_the_next(overlay: Laid) -> None:
    def commit(path: Path) -> None:
        disk.commit(str(path), source_format=overlay.format, force=True)

    def finish(path: Path) -> None:
        commit(path)
        base = path.with_name(f"old.{overlay.on}")
        assert guest(base, overlay.on) == overlay.content
        with disk.open(str(path), "r", overlay.format) as opened:
            assert opened.read(0, opened.size) == overlay.content

    at_every_moment(overlay, commit, finish)


def test_a_killed_rebase_reads_as_before_and_is_finished_by_the_next(overlay: Laid) -> None:
    def rebase(path: Path) -> None:
        disk.rebase(str(path), f"new.{overlay.on}", overlay.on, source_format=overlay.format)

    def finish(path: Path) -> None:
        rebase(path)
        path.with_name(f"old.{overlay.on}").unlink()
        assert guest(path, overlay.format) == overlay.content

    at_every_moment(overlay, rebase, finish)


def test_a_killed_flattening_reads_as_before_and_is_finished_by_the_next(overlay: Laid) -> None:
    def flatten(path: Path) -> None:
        disk.rebase(str(path), None, source_format=overlay.format)

    def finish(path: Path) -> None:
        flatten(path)
        assert disk.info(str(path), overlay.format).backing is None
        assert guest(path, overlay.format) == overlay.content
        if overlay.format in known_to_qemu():
            assert read_by_qemu(path, overlay.format) == overlay.content

    at_every_moment(overlay, flatten, finish)


@pytest.fixture(scope="module", params=sorted(WRITABLE))
def scattered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Laid:
    """Data with zeros between, so that much of it has to move."""
    format_: str = request.param
    folder = tmp_path_factory.mktemp("scattered")
    size = 3 << 20
    path = created(folder / f"image.{format_}", format_, "", size=size)
    laid(folder / "old.raw", "raw", b"")
    content = bytearray(patterned(size, "data"))
    with disk.open(str(path), "r+", format_) as opened:
        for at in range(size - (1 << 20), -1, -(1 << 20)):
            opened.write(at, bytes(content[at : at + (1 << 20)]))
            opened.flush()
        for at in range(0, size, 200 * KIB):
            content[at : at + 130 * KIB] = bytes(len(content[at : at + 130 * KIB]))
            opened.write(at, bytes(len(content[at : at + 130 * KIB])))
        content[1 << 20 : 2 << 20] = bytes(1 << 20)
        opened.write(1 << 20, bytes(1 << 20))
    return Laid(folder, format_, "raw", bytes(content))


def test_a_killed_compaction_reads_as_before_and_goes_on(scattered: Laid) -> None:
    def compact(path: Path) -> None:
        disk.compact(str(path), scattered.format)

    def finish(path: Path) -> None:
        compact(path)
        assert guest(path, scattered.format) == scattered.content
        if scattered.format in known_to_qemu():
            assert read_by_qemu(path, scattered.format) == scattered.content

    at_every_moment(scattered, compact, finish)
