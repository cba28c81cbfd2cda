"""Compacting: the file ends with its last used cluster, and nothing else has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from differential.test_qcow2_live import Model, Step, disk, steps
from support.backends import numpy_always
from support.depth import deep
from support.qcow2 import LOCKED, OUTSIDE, PLAIN, Make, assert_clean
from virtkit.core.progress import Advanced, Event, Started, silent
from virtkit.disk.format import CompactImage
from virtkit.disk.live import open_live

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=deep(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCRIPTS = st.lists(steps("write write zero discard discard flush resize compact"), min_size=1, max_size=16)


class Compacted(Model):
    def apply(self, step: Step) -> None:
        if step.verb == "compact":
            self.compact()
        else:
            super().apply(step)

    def compact(self) -> None:
        top = self.live.top
        assert isinstance(top, CompactImage)
        top.compact(silent)


@pytest.mark.parametrize("make", PLAIN + OUTSIDE + LOCKED[:2], ids=str)
@SEVERAL
@given(script=SCRIPTS, wide=st.booleans())
def test_a_compacted_image_reads_as_before_and_is_sound(
    make: Make, script: list[Step], *, wide: bool, tmp_path: Path
) -> None:
    content = disk(make)
    model = Compacted(make, make.create(tmp_path, content), content)
    with numpy_always(wanted=wide):
        for step in script:
            model.apply(step)
        model.compact()
    model.check()


def emptied(make: Make, folder: Path) -> Model:
    """An image with holes all over: every other piece of its disk was given back."""
    content = disk(make)
    model = Compacted(make, make.create(folder, content), content)
    whole = len(content)
    model.apply(Step("write", 0, whole, 1))
    for at in range(0, whole // 2, 128 << 10):
        model.apply(Step("discard", at, 64 << 10, 0))
    model.live.flush()
    return model


UNABLE = (Make("compat=0.10", backed=True), Make("cluster_size=2M"), Make("preallocation=metadata"))
SMALL = [make for make in PLAIN if make not in UNABLE]  # the others have nothing free here


@pytest.mark.parametrize("make", SMALL, ids=str)
def test_no_free_cluster_is_left(make: Make, tmp_path: Path) -> None:
    model = emptied(make, tmp_path)
    top = model.live.top
    assert isinstance(top, CompactImage)
    before = top.file.size
    top.compact(silent)
    assert top.file.size < before
    after = top.file.size
    top.compact(silent)
    assert top.file.size == after
    model.check()


def test_it_can_be_broken_off_between_any_two_steps(tmp_path: Path) -> None:
    make = Make("cluster_size=4k")
    model = emptied(make, tmp_path)

    def stop(event: Event) -> None:
        if isinstance(event, Started | Advanced):
            raise KeyboardInterrupt

    top = model.live.top
    assert isinstance(top, CompactImage)
    with pytest.raises(KeyboardInterrupt):
        top.compact(stop)
    top.compact(silent)
    model.check()


@pytest.mark.parametrize("backend", ["loops", "numpy"])
def test_compressed_data_move_too(tmp_path: Path, backend: str) -> None:
    make = Make("cluster_size=4k", coded=True)
    content = disk(make)
    model = Compacted(make, make.create(tmp_path, content), content)
    model.apply(Step("discard", 0, len(content) // 2, 0))
    model.live.flush()
    top = model.live.top
    assert isinstance(top, CompactImage)
    before = top.file.size
    with numpy_always(wanted=backend == "numpy"):
        top.compact(silent)
    assert top.file.size < before
    model.check()
    model.live = open_live(str(model.image), "qcow2")
    model.check()


def test_what_is_a_hole_in_the_file_stays_one(tmp_path: Path) -> None:
    image = Make("preallocation=metadata,cluster_size=4k").create(tmp_path, bytes(8 << 20))
    live = open_live(str(image), "qcow2")
    live.discard(0, 4 << 20)
    live.flush()
    taken = live.top.file.allocated
    assert isinstance(live.top, CompactImage)
    live.top.compact(silent)
    assert live.top.file.allocated <= taken
    live.close()
    assert_clean(image)
