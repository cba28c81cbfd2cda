"""Every format that can be made and written in place must pass this; it is found by itself.

The same steps are done to an image and to a disk in memory; what QEMU's tools read afterwards is the judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings

from support.depth import deep
from support.images import KIB
from support.layers import (
    SIZE,
    STACKED,
    VARIANTS,
    WRITABLE,
    copied,
    created,
    ground,
    judged_by_qemu,
    laid,
    patterned,
    read,
)
from support.model import Model, Step, steps
from virtkit import disk
from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

SEVERAL = settings(
    max_examples=deep(4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Blank(NamedTuple):
    """An image that nothing was written to yet."""

    path: Path
    format: str
    base: str = ""  # name of its backing image

    def copy(self) -> Path:
        return copied(self.path.parent) / self.path.name


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: " ".join(variant).strip())
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Blank:
    format_, options = request.param
    path = tmp_path_factory.mktemp("alone") / f"image.{format_}"
    return Blank(created(path, format_, options), format_)


@pytest.fixture(scope="module", params=[100 * KIB + 512, SIZE, 500 * KIB], ids=["shorter", "equal", "longer"])
def backing(request: pytest.FixtureRequest) -> bytes:
    return patterned(request.param, "base")


@pytest.fixture(scope="module", params=STACKED, ids=lambda variant: " ".join(variant).strip())
def overlay(request: pytest.FixtureRequest, backing: bytes, tmp_path_factory: pytest.TempPathFactory) -> Blank:
    format_, options = request.param
    probe = tmp_path_factory.mktemp("probe")
    on = ground(probe, format_, options)
    folder = tmp_path_factory.mktemp("overlay")
    base = laid(folder / f"base.{on}", on, backing)  # a VDI finds its parent among the files that are called so
    path = created(folder / f"image.{format_}", format_, options, backing=base.name, on=on)
    return Blank(path, format_, base.name)


@SEVERAL
@given(script=steps())
def test_a_disk_reads_what_was_done_to_it(alone: Blank, script: list[Step]) -> None:
    follow(alone, Model(bytes(SIZE)), script)


@SEVERAL
@given(script=steps())
def test_a_disk_on_a_backing_image_reads_what_was_done_to_it(
    overlay: Blank, backing: bytes, script: list[Step]
) -> None:
    before = overlay.path.with_name(overlay.base).read_bytes()
    path = follow(overlay, Model(backing[:SIZE].ljust(SIZE, b"\0")), script)
    assert path.with_name(overlay.base).read_bytes() == before


def follow(blank: Blank, model: Model, script: list[Step]) -> Path:
    path = blank.copy()
    opened = disk.open(str(path), "r+", blank.format)
    try:
        for step in script:
            if step.verb == "reopen":
                opened.close()
                opened = disk.open(str(path), "r+", blank.format)
            model.follow(step, opened)
            small = [bytes(opened.read(at, 512)) for at in range(0, opened.size, 8192)]  # these remember places
            assert small == [bytes(model.content[at : at + 512]) for at in range(0, opened.size, 8192)]
        assert opened.read(0, opened.size) == model.content
    finally:
        opened.close()
    assert read(path, blank.format) == model.content
    judged_by_qemu(path, blank.format, model.content)
    return path


@pytest.mark.parametrize(("at", "length"), [(-1, 1), (0, SIZE + 1), (SIZE, 1), (SIZE + 1, 0), (1, -1)])
def test_what_is_outside_of_the_disk_is_refused(alone: Blank, at: int, length: int) -> None:
    with disk.open(str(alone.copy()), "r+", alone.format) as opened:
        for change in (opened.zero, opened.discard):
            with pytest.raises(UsageError, match="expected within"):
                change(at, length)
        if length > 0:
            with pytest.raises(UsageError, match="expected within"):
                opened.write(at, bytes(length))


@pytest.mark.parametrize("name", sorted(WRITABLE))
def test_the_smallest_disks_can_be_made_and_read(name: str, tmp_path: Path) -> None:
    for size in (0, 512):
        path = tmp_path / f"{size}.{name}"
        assert disk.create(str(path), size, target_format=name).size == size
        assert read(path, name) == bytes(size)
