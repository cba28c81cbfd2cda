"""Flags of convert: what comes out is what comes out of qemu-img with the same flags."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from differential.histories import Kind, make, overlay, scripts, write
from support.depth import deep
from support.images import MIB, read_by_qemu, run
from virtkit import disk
from virtkit.core.errors import UsageError, VerifyError
from virtkit.core.progress import Event, Finished

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=deep(5), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
QCOW2 = Kind("qcow2")

EXTENT_TREE = 8  # sectors: the block in which ext4 keeps a file's extents, where they are more than four


def assert_sound(image: Path, guest: bytes) -> None:
    assert "No errors were found" in run("qemu-img", "check", "-f", "qcow2", image)
    assert read_by_qemu(image, "qcow2") == guest


def held(image: Path) -> list[bool]:
    """Of each 64 KiB: whether the top image itself says something about it."""
    found: list[bool] = []
    for entry in json.loads(run("qemu-img", "map", "--output", "json", image)):
        end = entry["start"] + entry["length"]
        own = entry["depth"] == 0 and entry["present"]
        found += [own] * (-(-end // 65536) - len(found))
    return found


@SEVERAL
@given(data=st.data(), sizes=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_a_backing_image_keeps_what_is_its_own(data: st.DataObject, sizes: tuple[int, int], tmp_path: Path) -> None:
    base = make(tmp_path, QCOW2, data.draw(scripts(QCOW2)))
    mid = overlay(tmp_path, "mid.qcow2", base, sizes[0] << 20)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 77 300k 100k", mid)
    top = overlay(tmp_path, "top.qcow2", mid, max(sizes[1], 4) << 20)
    write(top, "qcow2", data.draw(scripts(QCOW2)))
    ours, theirs = tmp_path / "ours.qcow2", tmp_path / "theirs.qcow2"
    disk.convert(str(top), str(ours), backing="mid.qcow2", backing_format="qcow2", overwrite=True, verify=True)
    run("qemu-img", "convert", "-O", "qcow2", "-B", "mid.qcow2", "-F", "qcow2", top, theirs)
    assert_sound(ours, read_by_qemu(top, "qcow2"))
    assert held(ours) == held(theirs)
    assert disk.info(str(ours)).data()["backing-filename"] == "mid.qcow2"


@pytest.mark.parametrize("options", [{"cluster_size": "512"}, {"cluster_size": "2M"}, {"extended_l2": "on"}], ids=str)
@SEVERAL
@given(data=st.data())
def test_layers_between_are_copied_too(options: dict[str, str], data: st.DataObject, tmp_path: Path) -> None:
    """qemu-img copies the top image alone and loses what the one between has."""
    base = make(tmp_path, QCOW2, data.draw(scripts(QCOW2)))
    mid = overlay(tmp_path, "mid.qcow2", base, 4 << 20)
    write(mid, "qcow2", data.draw(scripts(QCOW2)))
    top = overlay(tmp_path, "top.qcow2", mid, 5 << 20)
    write(top, "qcow2", data.draw(scripts(QCOW2)))
    ours = tmp_path / "ours.qcow2"
    disk.convert(str(top), str(ours), backing=base.name, backing_format="qcow2", options=options, overwrite=True)
    assert_sound(ours, read_by_qemu(top, "qcow2"))


@SEVERAL
@given(data=st.data())
def test_any_disk_can_be_told_as_what_differs_from_a_backing_image(data: st.DataObject, tmp_path: Path) -> None:
    """A source without a backing image: all of it is its own, its holes are zeros."""
    base = make(tmp_path, QCOW2, data.draw(scripts(QCOW2)))
    raw = make(tmp_path, Kind("raw"), data.draw(scripts(Kind("raw"))))
    ours = tmp_path / "ours.qcow2"
    for compress in (False, True):
        disk.convert(
            str(raw),
            str(ours),
            source_format="raw",
            backing=base.name,
            backing_format="qcow2",
            compress=compress,
            overwrite=True,
        )
        assert_sound(ours, raw.read_bytes())


def test_an_image_is_not_its_own_backing_image(tmp_path: Path) -> None:
    image = make(tmp_path, QCOW2, [])
    with pytest.raises(UsageError, match="its own backing file"):
        disk.convert(str(image), str(tmp_path / "new.qcow2"), backing=image.name, backing_format="qcow2")


@SEVERAL
@given(data=st.data())
def test_several_sources_become_one_disk(data: st.DataObject, tmp_path: Path) -> None:
    images = []
    for name in "abc":
        (tmp_path / name).mkdir(exist_ok=True)
        images.append(make(tmp_path / name, QCOW2, data.draw(scripts(QCOW2))))
    for compress in (False, True):
        ours, theirs = tmp_path / "ours.qcow2", tmp_path / "theirs.raw"
        disk.convert([str(image) for image in images], str(ours), compress=compress, overwrite=True, verify=True)
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", *images, theirs)
        assert_sound(ours, theirs.read_bytes())


@pytest.mark.parametrize("sparse", [0, 512, 4096, 64 << 10, 1 << 20])
def test_zeros_take_room_as_asked(sparse: int, tmp_path: Path) -> None:
    source, ours, theirs = tmp_path / "source.raw", tmp_path / "ours.raw", tmp_path / "theirs.raw"
    with source.open("wb") as file:
        for at in range(0, 4 * MIB, 128 << 10):
            file.seek(at)
            file.write(b"x" * 4096 + bytes(at // 32))
        file.truncate(5 * MIB)
    disk.convert(str(source), str(ours), source_format="raw", sparse=sparse)
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", "-S", str(sparse), source, theirs)
    assert ours.read_bytes() == source.read_bytes()
    more = ours.stat().st_blocks - theirs.stat().st_blocks
    if sparse in {0, 4096}:  # between these two, where a run of zeros begins is a matter of taste
        assert abs(more) <= EXTENT_TREE
    assert more <= EXTENT_TREE


@pytest.mark.parametrize("compress", [False, True])
def test_a_disk_without_holes_is_wanted(tmp_path: Path, *, compress: bool) -> None:
    image = make(tmp_path, QCOW2, ["write -P 1 1M 1M", "write -z 2M 64k"])
    ours, theirs = tmp_path / "ours.qcow2", tmp_path / "theirs.qcow2"
    disk.convert(str(image), str(ours), sparse=0, compress=compress)
    run("qemu-img", "convert", "-O", "qcow2", "-S", "0", *(["-c"] if compress else []), image, theirs)
    assert_sound(ours, read_by_qemu(image, "qcow2"))
    assert held(ours) == held(theirs) == [True] * len(held(ours))


@pytest.mark.parametrize("threads", [1, 2, 16])
def test_threads_change_nothing_in_the_file(threads: int, tmp_path: Path) -> None:
    image = make(tmp_path, QCOW2, ["write -P 1 0 3M", "write -P 2 100k 200k"])
    disk.convert(str(image), str(tmp_path / "one.qcow2"), compress=True)
    disk.convert(str(image), str(tmp_path / "many.qcow2"), compress=True, threads=threads)
    assert (tmp_path / "one.qcow2").read_bytes() == (tmp_path / "many.qcow2").read_bytes()


def test_a_rate_is_kept(tmp_path: Path) -> None:
    image = make(tmp_path, Kind("raw"), ["write -P 1 0 3M"])
    began = time.monotonic()
    disk.convert(str(image), str(tmp_path / "ours.qcow2"), source_format="raw", rate=6 * MIB)
    assert 0.4 < time.monotonic() - began < 5
    assert_sound(tmp_path / "ours.qcow2", image.read_bytes())


def test_what_changes_meanwhile_does_not_pass_verification(tmp_path: Path) -> None:
    image = make(tmp_path, Kind("raw"), ["write -P 1 0 3M"])

    def meddle(event: Event) -> None:
        if isinstance(event, Finished):
            with image.open("r+b") as file:
                file.seek(2 * MIB + 5)
                file.write(b"meddled")

    with pytest.raises(VerifyError, match="at byte 0x200000"):
        disk.convert(str(image), str(tmp_path / "ours.qcow2"), source_format="raw", verify=True, report=meddle)
    assert os.listdir(tmp_path) == [image.name]
