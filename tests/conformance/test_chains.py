"""rebase and commit, for every format that has backing images and is written in place; it is found by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import KIB
from support.layers import SIZE, STACKED, copied, created, ground, judged_by_qemu, laid, patterned, read
from support.model import Model, Step, steps
from virtkit import disk
from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

SEVERAL = settings(
    max_examples=deep(4),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
CHANGES = steps(8, ("write", "zero", "discard"))
LENGTHS = st.sampled_from((64 * KIB, 200 * KIB + 512, SIZE, 450 * KIB))  # of backing images, in bytes


class Pair(NamedTuple):
    folder: Path
    format: str
    options: str
    on: str  # the format of its backing images


@pytest.fixture(scope="module", params=STACKED, ids=lambda variant: " ".join(variant).strip())
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Skipped where the format has no backing images."""
    format_, options = request.param
    probe = tmp_path_factory.mktemp("probe")
    return Pair(tmp_path_factory.mktemp("chain"), format_, options, ground(probe, format_, options))


def written(path: Path, format_: str, script: list[Step]) -> bytes:
    with disk.open(str(path), "r+", format_) as opened:
        model = Model(opened.read(0, opened.size))
        for step in script:
            model.follow(step, opened)
    return bytes(model.content)


def work(kind: Pair, **disks: bytes) -> Path:
    """A folder with images that can be stood on; a VDI finds its parent among the files that are called .vdi."""
    folder = copied(kind.folder)
    for name, content in disks.items():
        laid(folder / f"{name}.{kind.on}", kind.on, content)
    return folder


def overlay(folder: Path, kind: Pair, backing: str, on: str) -> Path:
    return created(folder / f"image.{kind.format}", kind.format, kind.options, backing=f"{backing}.{on}", on=on)


@SEVERAL
@given(
    script=CHANGES,
    lengths=st.tuples(LENGTHS, LENGTHS),
    changed=st.lists(st.tuples(st.integers(0, SIZE // 512), st.integers(1, 100)), max_size=4),
)
def test_a_rebased_image_reads_as_before(
    kind: Pair, script: list[Step], lengths: tuple[int, int], changed: list[tuple[int, int]]
) -> None:
    old, new = patterned(lengths[0], "old"), bytearray(patterned(lengths[1], "old"))
    for start, count in changed:
        new[start * 512 : (start + count) * 512] = bytes(len(new[start * 512 : (start + count) * 512]))
    folder = work(kind, old=old, new=bytes(new))
    path = overlay(folder, kind, "old", kind.on)
    content = written(path, kind.format, script)
    planned = disk.rebase(str(path), f"new.{kind.on}", kind.on, source_format=kind.format, dry_run=True)
    done = disk.rebase(str(path), f"new.{kind.on}", kind.on, source_format=kind.format)
    assert planned.copied == done.copied
    (folder / f"old.{kind.on}").unlink()
    assert read(path, kind.format) == content
    judged_by_qemu(path, kind.format, content)
    assert disk.rebase(str(path), None, source_format=kind.format).backing is None
    (folder / f"new.{kind.on}").unlink()
    assert read(path, kind.format) == content
    judged_by_qemu(path, kind.format, content)


@SEVERAL
@given(script=CHANGES, length=LENGTHS)
def test_a_base_reads_what_was_committed_and_the_image_is_empty(kind: Pair, script: list[Step], length: int) -> None:
    base = patterned(length, "base")
    folder = work(kind, base=base)
    path = overlay(folder, kind, "base", kind.on)
    content = written(path, kind.format, script)
    done = disk.commit(str(path), source_format=kind.format)
    assert (done.emptied, done.grown_from) == (True, length if length < SIZE else None)
    assert read(folder / f"base.{kind.on}", kind.on) == content + base[SIZE:]
    with disk.open(str(path), "r", kind.format) as opened:
        assert {extent.kind for extent in opened.layers[0].image.extents(0, SIZE)} == {Kind.HOLE}
        assert opened.read(0, SIZE) == content
    judged_by_qemu(path, kind.format, content)


@SEVERAL
@given(scripts=st.tuples(CHANGES, CHANGES), length=LENGTHS, middle=LENGTHS)
def test_a_deeper_base_takes_what_lies_between(
    kind: Pair, scripts: tuple[list[Step], list[Step]], length: int, middle: int
) -> None:
    base = patterned(length, "base")
    folder = work(kind, base=base)
    size = -(-middle // 512) * 512
    name = folder / f"middle.{kind.format}"
    between = created(name, kind.format, kind.options, size=size, backing=f"base.{kind.on}", on=kind.on)
    written(between, kind.format, scripts[0])
    path = overlay(folder, kind, "middle", kind.format)
    content = written(path, kind.format, scripts[1])
    assert not disk.commit(str(path), f"base.{kind.on}", source_format=kind.format).emptied
    assert read(folder / f"base.{kind.on}", kind.on) == content + base[SIZE:]
    assert read(path, kind.format) == content


@SEVERAL
@given(scripts=st.tuples(CHANGES, CHANGES), length=LENGTHS)
def test_a_base_of_the_same_format_takes_what_is_committed(
    kind: Pair, scripts: tuple[list[Step], list[Step]], length: int
) -> None:
    folder = work(kind)
    base = created(folder / f"base.{kind.format}", kind.format, kind.options, size=length)
    before = written(base, kind.format, scripts[0])
    path = overlay(folder, kind, "base", kind.format)
    content = written(path, kind.format, scripts[1])
    disk.commit(str(path), source_format=kind.format)
    assert read(base, kind.format) == content + before[SIZE:]
    judged_by_qemu(base, kind.format, content + before[SIZE:])
    judged_by_qemu(path, kind.format, content)
