"""``convert -n``: a disk that exists becomes what qemu-img makes of it."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from differential.histories import Kind, make, overlay, scripts, write
from support.depth import deep
from support.images import MIB, run
from support.targets import LIVE, Target, read
from support.typed import qemu_img
from virtkit import disk
from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=deep(3), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
QCOW2 = Kind("qcow2")


def assert_clean(image: Path, format_: str) -> None:
    """QEMU finds no fault, in formats whose metadata it checks."""
    assert qemu_img(image.parent, "check", "-f", format_, image.name).status in {0, 63}


def overwrite(source: Path, image: Path, format_: str, *, is_zero: bool = False, sparse: int | None = None) -> None:
    disk.convert(
        str(source), str(image), target_format=format_, existing=True, is_zero=is_zero, sparse=sparse, verify=True
    )


@pytest.mark.parametrize("target", LIVE, ids=str)
@SEVERAL
@given(data=st.data())
def test_overwrites_whatever_was_there(target: Target, data: st.DataObject, tmp_path: Path) -> None:
    for name in ("old", "new"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
        (tmp_path / name).mkdir()
    source = make(tmp_path / "new", QCOW2, data.draw(scripts(QCOW2)))
    old = make(tmp_path / "old", Kind("raw"), data.draw(scripts(Kind("raw"))))
    image = tmp_path / "old" / "image"
    target.make(old, image)
    overwrite(source, image, target.format)
    assert read(image, target.format) == read(source, "qcow2")
    assert_clean(image, target.format)


def test_a_longer_disk_keeps_its_tail(tmp_path: Path) -> None:
    source = make(tmp_path, QCOW2, ["write -P 1 1M 1M"])
    for name in ("ours.raw", "theirs.raw"):
        (tmp_path / name).write_bytes(b"x" * 5 * MIB)
    overwrite(source, tmp_path / "ours.raw", "raw")
    run("qemu-img", "convert", "-n", "-O", "raw", source, tmp_path / "theirs.raw")
    assert (tmp_path / "ours.raw").read_bytes() == (tmp_path / "theirs.raw").read_bytes()
    assert (tmp_path / "ours.raw").read_bytes().endswith(b"x" * MIB)


def test_a_shorter_disk_is_refused_and_kept(tmp_path: Path) -> None:
    source = make(tmp_path, QCOW2, ["write -P 1 1M 1M"])
    (tmp_path / "short.raw").write_bytes(b"x" * MIB)
    with pytest.raises(UsageError, match="expected at least"):
        overwrite(source, tmp_path / "short.raw", "raw")
    assert (tmp_path / "short.raw").read_bytes() == b"x" * MIB


def test_zeros_are_left_to_a_target_that_holds_zeros(tmp_path: Path) -> None:
    """As for qemu-img, the word of the user counts: here it is wrong, so what is left shows."""
    source = make(tmp_path, QCOW2, ["write -P 1 1M 1M"])
    for name in ("ours.raw", "theirs.raw"):
        (tmp_path / name).write_bytes(b"x" * 4 * MIB)
    disk.convert(str(source), str(tmp_path / "ours.raw"), target_format="raw", existing=True, is_zero=True)
    run("qemu-img", "convert", "-n", "--target-is-zero", "-O", "raw", source, tmp_path / "theirs.raw")
    assert (tmp_path / "ours.raw").read_bytes() == (tmp_path / "theirs.raw").read_bytes()


def test_zeros_are_written_out_on_request(tmp_path: Path) -> None:
    source = make(tmp_path, QCOW2, ["write -P 1 1M 1M"])
    with (tmp_path / "ours.raw").open("wb") as file:
        file.truncate(4 * MIB)
    overwrite(source, tmp_path / "ours.raw", "raw", sparse=0)
    assert (tmp_path / "ours.raw").read_bytes() == read(source, "qcow2") + bytes(4 * MIB - len(read(source, "qcow2")))
    assert (tmp_path / "ours.raw").stat().st_blocks * 512 >= len(read(source, "qcow2"))


@SEVERAL
@given(data=st.data())
def test_what_lies_below_is_not_written(data: st.DataObject, tmp_path: Path) -> None:
    """With -B the target is on that backing image already: only the top image's own data goes in."""
    base = make(tmp_path, QCOW2, data.draw(scripts(QCOW2)))
    source = overlay(tmp_path, "source.qcow2", base, 4 * MIB)
    write(source, "qcow2", data.draw(scripts(QCOW2)))
    image = tmp_path / "ours.raw"
    image.write_bytes(b"x" * 4 * MIB)
    disk.convert(str(source), str(image), target_format="raw", existing=True, backing=base.name, backing_format="qcow2")
    guest, found, below = read(source, "qcow2"), image.read_bytes(), len(read(base, "qcow2"))
    for entry in json.loads(run("qemu-img", "map", "--output", "json", source)):
        start, end = entry["start"], entry["start"] + entry["length"]
        own = entry["depth"] == 0 and (entry["present"] or start >= below)
        assert found[start:end] == (guest[start:end] if own else b"x" * (end - start))


@pytest.mark.parametrize("target", LIVE, ids=str)
def test_many_threads_write_one_disk(target: Target, tmp_path: Path) -> None:
    source = make(tmp_path, QCOW2, ["write -P 1 0 3M", "write -P 2 100k 200k", "write -z 1M 300k"])
    image = tmp_path / "image.target"
    target.make(make(tmp_path, Kind("raw"), []), image)
    disk.convert(str(source), str(image), target_format=target.format, existing=True, threads=8)
    assert read(image, target.format) == read(source, "qcow2")
