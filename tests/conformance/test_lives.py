"""The whole life of an image: written, compacted, resized, kept and gone back to, in any order, for every format.

After every chapter the disk reads as a disk in memory does, every snapshot too, and QEMU finds no fault.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.layers import SIZE, VARIANTS, copied, created, judged_by_qemu, read
from support.model import Model, Step, steps
from virtkit import disk
from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

Chapter = list[Step] | str  # what is done while it is open; or a verb on the closed image
CHAPTERS = st.lists(
    st.one_of(
        steps(5).filter(bool),
        steps(5).filter(bool),
        st.sampled_from(("compact", "keep", "keep", "return", "forget")),
    ),
    max_size=7,
)


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: " ".join(variant).strip())
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    format_, options = request.param
    return created(tmp_path_factory.mktemp("life") / f"image.{format_}", format_, options), format_


class Life:
    """An image, and what it must hold."""

    def __init__(self, path: Path, format_: str) -> None:
        self.path = path
        self.format = format_
        self.content = bytes(SIZE)
        self.kept: dict[str, bytes] = {}
        self.count = 0

    def live(self, chapter: Chapter) -> None:
        if isinstance(chapter, list):
            self.write(chapter)
            return
        verbs = {"compact": self.compact, "keep": self.keep, "return": self.go_back, "forget": self.forget}
        verbs[chapter]()

    def write(self, script: list[Step]) -> None:
        with disk.open(str(self.path), "r+", self.format) as opened:
            model = Model(self.content)
            for step in script:
                model.follow(step, opened)
        self.content = bytes(model.content)

    def compact(self) -> None:
        done = disk.compact(str(self.path), self.format)
        assert done.length_after <= done.length_before

    def keep(self) -> None:
        self.count += 1
        try:
            disk.create_snapshot(str(self.path), f"state {self.count}", self.format)
        except NotSupportedError:
            return
        self.kept[f"state {self.count}"] = self.content

    def go_back(self) -> None:
        if self.kept:
            name = sorted(self.kept)[self.count % len(self.kept)]
            disk.apply_snapshot(str(self.path), name, self.format)
            self.content = self.kept[name]

    def forget(self) -> None:
        if self.kept:
            name = sorted(self.kept)[self.count % len(self.kept)]
            disk.delete_snapshot(str(self.path), name, self.format)
            del self.kept[name]

    def check(self) -> None:
        assert read(self.path, self.format) == self.content
        judged_by_qemu(self.path, self.format, self.content)
        for name, content in self.kept.items():
            target = self.path.with_name("kept.raw")
            disk.convert(
                str(self.path),
                str(target),
                source_format=self.format,
                snapshot=name,
                target_format="raw",
                overwrite=True,
            )
            assert target.read_bytes() == content, name


@settings(
    max_examples=deep(3),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(chapters=CHAPTERS)
def test_an_image_lives_through_anything(made: tuple[Path, str], chapters: list[Chapter]) -> None:
    original, format_ = made
    life = Life(copied(original.parent) / original.name, format_)
    for chapter in chapters:
        life.live(chapter)
        life.check()
