"""``convert --bitmaps``: QEMU finds the same dirty bitmaps in the new image as in the source."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from differential.histories import SIZE, Kind, make, write
from support.images import read_by_qemu, run
from support.typed import virtkit
from virtkit import disk
from virtkit.core.errors import ImageError, NotSupportedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
QCOW2 = Kind("qcow2")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Three bitmaps: one of them rests, one has seen nothing."""
    path = make(tmp_path, QCOW2, ["write -P 1 0 1M"])
    run("qemu-img", "bitmap", "--add", "-g", "64k", path, "monday")
    run("qemu-img", "bitmap", "--add", "-g", "4k", path, "tuesday")
    write(path, "qcow2", ["write -P 2 100k 200k", "write -P 3 3000k 60k"])
    run("qemu-img", "bitmap", "--disable", path, "tuesday")
    run("qemu-img", "bitmap", "--add", "-g", "2M", path, "a bitmap with a longer name")
    return path


def told(image: Path) -> list[dict[str, object]]:
    """Name, granularity and flags of each."""
    found = json.loads(run("qemu-img", "info", "--output", "json", image))
    listed: list[dict[str, object]] = found["format-specific"]["data"].get("bitmaps", [])
    return sorted(listed, key=lambda one: str(one["name"]))


def dirty(image: Path, name: str) -> list[tuple[int, int]]:
    """(offset, length) of what QEMU says was written."""
    server = ["--", "[", "qemu-nbd", "-r", "-f", "qcow2", "-B", name, str(image), "]"]
    entries = json.loads(run("nbdinfo", f"--map=qemu:dirty-bitmap:{name}", "--json", *server))
    return [(entry["offset"], entry["length"]) for entry in entries if entry["type"]]


@pytest.mark.parametrize("options", [{}, {"cluster_size": "512"}, {"extended_l2": "on"}], ids=str)
def test_bitmaps_are_those_of_the_source(options: dict[str, str], image: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.qcow2", tmp_path / "theirs.qcow2"
    disk.convert(str(image), str(ours), bitmaps=True, options=options, verify=True)
    run("qemu-img", "convert", "--bitmaps", "-O", "qcow2", image, theirs)
    assert told(ours) == told(theirs)
    assert "No errors were found" in run("qemu-img", "check", ours)
    assert read_by_qemu(ours, "qcow2") == read_by_qemu(image, "qcow2")
    for one in told(theirs):
        name = str(one["name"])
        run("qemu-img", "bitmap", "--disable", image, name)  # else serving it would need to write
        assert dirty(ours, name) == dirty(theirs, name) == dirty(image, name)


def test_a_machine_goes_on_recording(image: Path, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.qcow2", tmp_path / "theirs.qcow2"
    disk.convert(str(image), str(ours), bitmaps=True)
    run("qemu-img", "convert", "--bitmaps", "-O", "qcow2", image, theirs)
    for path in (ours, theirs):
        write(path, "qcow2", ["write -P 4 2M 300k"])
    for name in ("monday", "tuesday"):
        assert dirty(ours, name) == dirty(theirs, name)


def test_without_the_flag_there_are_none(image: Path, tmp_path: Path) -> None:
    disk.convert(str(image), str(tmp_path / "ours.qcow2"))
    assert told(tmp_path / "ours.qcow2") == []


def test_they_go_into_an_image_that_exists(image: Path, tmp_path: Path) -> None:
    for name in ("ours.qcow2", "theirs.qcow2"):
        run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / name, str(SIZE))
    disk.convert(str(image), str(tmp_path / "ours.qcow2"), existing=True, bitmaps=True)
    run("qemu-img", "convert", "-n", "--bitmaps", "-O", "qcow2", image, tmp_path / "theirs.qcow2")
    assert told(tmp_path / "ours.qcow2") == told(tmp_path / "theirs.qcow2")
    assert "No errors were found" in run("qemu-img", "check", tmp_path / "ours.qcow2")


@pytest.fixture
def broken(image: Path) -> Path:
    """Whoever recorded in the two that are awake was killed."""
    killed = subprocess.run(
        ["qemu-io", "-f", "qcow2", "-c", "write -P 5 0 64k", "-c", "sigraise 9", str(image)],
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9
    return image


def test_broken_ones_are_an_error_or_left_out(broken: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is broken") as caught:
        disk.convert(str(broken), str(tmp_path / "ours.qcow2"), bitmaps=True)
    assert caught.value.hint == "--skip-broken-bitmaps"
    assert not (tmp_path / "ours.qcow2").exists()
    said = virtkit(tmp_path, "convert", "--bitmaps", "--skip-broken-bitmaps", broken.name, "ours.qcow2")
    assert said.status == 0
    run("qemu-img", "convert", "--bitmaps", "--skip-broken-bitmaps", "-O", "qcow2", broken, tmp_path / "theirs.qcow2")
    assert told(tmp_path / "ours.qcow2") == told(tmp_path / "theirs.qcow2")
    left = {str(one["name"]) for one in told(broken)} - {str(one["name"]) for one in told(tmp_path / "ours.qcow2")}
    assert left
    for name in left:
        assert f"warning: bitmap {name} is broken and was left out" in said.err


def test_formats_without_bitmaps_are_refused(image: Path, tmp_path: Path) -> None:
    raw = make(tmp_path, Kind("raw"), [])
    with pytest.raises(NotSupportedError, match="keep no bitmaps"):
        disk.convert(str(image), str(tmp_path / "new.raw"), bitmaps=True)
    with pytest.raises(NotSupportedError, match="keeps no bitmaps"):
        disk.convert(str(raw), str(tmp_path / "new.qcow2"), source_format="raw", bitmaps=True)
    with pytest.raises(UsageError, match="skip-broken-bitmaps"):
        disk.convert(str(image), str(tmp_path / "new.qcow2"), skip_broken_bitmaps=True)
    assert not list(tmp_path.glob("new.*"))


def test_their_room_is_measured(image: Path, tmp_path: Path) -> None:
    for options in ("cluster_size=512", "cluster_size=2M"):
        words = ("--output", "json", "-O", "qcow2", "-o", options, image.name)
        theirs = json.loads(run("qemu-img", "measure", *words[:-1], image))
        assert theirs["bitmaps"] > 0
        ours = json.loads(virtkit(tmp_path, "measure", *words).out)
        assert (ours["bitmaps"], ours["fully-allocated"]) == (theirs["bitmaps"], theirs["fully-allocated"])
