"""compact, for every format that is written in place: the disk reads as before, and the file is not longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import KIB
from support.layers import SIZE, STACKED, VARIANTS, copied, created, ground, judged_by_qemu, laid, patterned, read
from support.model import Model, Step, steps
from virtkit import disk

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.disk.compaction import Compacted

pytestmark = pytest.mark.qemu

SEVERAL = settings(
    max_examples=deep(4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
LIST = 4096  # bytes; ext4 needs a block for the list of a file's extents where there are more of them
ZEROS = st.builds(Step, st.just("write"), st.integers(0, 80).map(lambda index: index * 4096), st.just(65536))
CHANGES = st.lists(st.one_of(steps(1, ("write", "zero", "discard")), ZEROS.map(lambda step: [step])), max_size=10)


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: " ".join(variant).strip())
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    format_, options = request.param
    path = tmp_path_factory.mktemp("alone") / f"image.{format_}"
    return created(path, format_, options), format_


@pytest.fixture(scope="module", params=STACKED, ids=lambda variant: " ".join(variant).strip())
def overlay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    format_, options = request.param
    probe = tmp_path_factory.mktemp("probe")
    on = ground(probe, format_, options)
    folder = tmp_path_factory.mktemp("overlay")
    base = laid(folder / f"base.{on}", on, patterned(200 * KIB, "base"))
    return created(folder / f"image.{format_}", format_, options, backing=base.name, on=on), format_


def compacted(original: Path, format_: str, script: list[list[Step]]) -> tuple[Path, Compacted]:
    """The image after ``script`` and compact, which took nothing from what a guest reads."""
    path = copied(original.parent) / original.name
    with disk.open(str(path), "r+", format_) as opened:
        model = Model(opened.read(0, opened.size))
        for step in (step for some in script for step in some):
            model.follow(step, opened)
    done = disk.compact(str(path), format_)
    assert read(path, format_) == model.content
    judged_by_qemu(path, format_, model.content)
    assert done.after <= done.before + LIST
    assert done.length_after <= done.length_before
    return path, done


@SEVERAL
@given(script=CHANGES)
@example([[Step("write", 4096, 65536, 1), Step("zero", 0, 65536)]])  # leaves holes within a cluster that moves
def test_a_compacted_disk_reads_as_before(made: tuple[Path, str], script: list[list[Step]]) -> None:
    compacted(*made, script)


@SEVERAL
@given(script=CHANGES)
def test_zeros_stay_zeros_over_a_backing_image(overlay: tuple[Path, str], script: list[list[Step]]) -> None:
    compacted(*overlay, script)


def test_what_was_written_and_then_zeroed_leaves_the_file(made: tuple[Path, str]) -> None:
    path, format_ = made
    work = copied(path.parent) / path.name
    empty = sum(file.stat().st_blocks for file in work.parent.iterdir())
    with disk.open(str(work), "r+", format_) as opened:
        opened.write(0, b"x" * SIZE)
        opened.flush()
        opened.write(0, bytes(SIZE))
    done = disk.compact(str(work), format_)
    assert done.zeros > 0
    left = sum(file.stat().st_blocks for file in work.parent.iterdir())
    cluster = disk.info(str(work), format_).facts.cluster_size or 0
    assert left - empty <= 2 * max(cluster, 65536) // 512, "a table or two may stay"
    again = disk.compact(str(work), format_)
    assert (again.after, again.length_after) == (done.after, done.length_after)
    assert read(work, format_) == bytes(SIZE)
