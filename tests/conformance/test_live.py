"""Every format that can be made and written in place must pass this; it is found by itself.

The same steps are done to an image and to a disk in memory; what QEMU's tools read afterwards is the judge.
"""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings

from differential.histories import KINDS
from support.depth import deep
from support.images import KIB, read_by_qemu, run
from support.model import Model, Step, steps
from virtkit import disk
from virtkit.core import plugins
from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.disk import formats
from virtkit.disk.format import Format, WritableFormat

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

SIZE = 300 * KIB + 3 * 512  # bytes; no multiple of any cluster
FORMATS = plugins.collect(formats, Format, "FORMAT")
OPTIONS = {(kind.format, kind.options) for kind in KINDS if not kind.finish}
VARIANTS = sorted({*OPTIONS, *((name, "") for name, kind in FORMATS.items() if isinstance(kind, WritableFormat))})
SEVERAL = settings(
    max_examples=deep(8),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
COULD_NOT_CHECK = 63  # exit status of qemu-img check


class Blank(NamedTuple):
    """An image that nothing was written to yet."""

    path: Path
    format: str

    def copy(self) -> Path:
        """It and its extents, to be written."""
        folder = self.path.with_name("work")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.path.parent, folder, ignore=shutil.ignore_patterns("work"))
        return folder / self.path.name


def created(folder: Path, format_: str, options: str, backing: str | None = None) -> Blank:
    """Skipped where the format cannot be written, in place, or has no backing files."""
    path = folder / f"image.{format_}"
    given = dict(pair.split("=") for pair in options.split(",")) if options else {}
    try:
        disk.create(
            str(path), SIZE, target_format=format_, options=given, backing=backing, backing_format=backing and "raw"
        )
        disk.open(str(path), "r+", format_).close()
    except (NotSupportedError, UsageError) as error:
        pytest.skip(error.message)
    return Blank(path, format_)


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: " ".join(variant).strip())
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Blank:
    format_, options = request.param
    return created(tmp_path_factory.mktemp("alone"), format_, options)


@pytest.fixture(scope="module", params=[100 * KIB + 512, SIZE, 500 * KIB], ids=["shorter", "equal", "longer"])
def backing(request: pytest.FixtureRequest) -> bytes:
    size: int = request.param
    return b"".join(b"base %11d" % index for index in range(size // 16))


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: " ".join(variant).strip())
def overlay(request: pytest.FixtureRequest, backing: bytes, tmp_path_factory: pytest.TempPathFactory) -> Blank:
    folder = tmp_path_factory.mktemp("overlay")
    (folder / "base").write_bytes(backing)
    format_, options = request.param
    return created(folder, format_, options, "base")


@SEVERAL
@given(script=steps())
def test_a_disk_reads_what_was_done_to_it(alone: Blank, script: list[Step]) -> None:
    follow(alone, Model(bytes(SIZE)), script)


@SEVERAL
@given(script=steps())
def test_a_disk_on_a_backing_image_reads_what_was_done_to_it(
    overlay: Blank, backing: bytes, script: list[Step]
) -> None:
    follow(overlay, Model(backing[:SIZE].ljust(SIZE, b"\0")), script)
    assert (overlay.path.with_name("work") / "base").read_bytes() == backing


def follow(blank: Blank, model: Model, script: list[Step]) -> None:
    path = blank.copy()
    opened = disk.open(str(path), "r+", blank.format)
    try:
        for step in script:
            if step.verb == "reopen":
                opened.close()
                opened = disk.open(str(path), "r+", blank.format)
            model.follow(step, opened)
        assert opened.read(0, opened.size) == model.content
    finally:
        opened.close()
    with disk.open(str(path), "r", blank.format) as again:
        assert again.read(0, again.size) == model.content
    judged_by_qemu(path, blank.format, model)


def judged_by_qemu(path: Path, format_: str, model: Model) -> None:
    if format_ not in known_to_qemu():
        return
    assert read_by_qemu(path, format_) == model.content
    done = subprocess.run(["qemu-img", "check", "-f", format_, path], capture_output=True, text=True, check=False)
    assert done.returncode in {0, COULD_NOT_CHECK}, done.stdout + done.stderr


def known_to_qemu() -> set[str]:
    line = next(line for line in run("qemu-img", "--help").splitlines() if line.startswith("Supported formats:"))
    return set(line.split()[2:])


@pytest.mark.parametrize(("at", "length"), [(-1, 1), (0, SIZE + 1), (SIZE, 1), (SIZE + 1, 0), (1, -1)])
def test_what_is_outside_of_the_disk_is_refused(alone: Blank, at: int, length: int) -> None:
    with disk.open(str(alone.copy()), "r+", alone.format) as opened:
        for change in (opened.zero, opened.discard):
            with pytest.raises(UsageError, match="expected within"):
                change(at, length)
        if length > 0:
            with pytest.raises(UsageError, match="expected within"):
                opened.write(at, bytes(length))


@pytest.mark.parametrize("name", sorted(name for name, kind in FORMATS.items() if isinstance(kind, WritableFormat)))
def test_the_smallest_disks_can_be_made_and_read(name: str, tmp_path: Path) -> None:
    for size in (0, 512):
        path = tmp_path / f"{size}.{name}"
        assert disk.create(str(path), size, target_format=name).size == size
        with disk.open(str(path), "r", name) as made:
            assert made.read(0, 1000) == bytes(size)
