"""``disk map``, line for line as qemu-img."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.typed import qemu_img, virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
MIB = 1 << 20


@pytest.fixture
def overlay(image: Path) -> Path:
    path = image.parent / "top.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", image.name, "-F", "qcow2", path, "9M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 1M 64k", "-c", "write -z 5M 1M", path)
    return path


@pytest.mark.parametrize(
    "words",
    [(), ("--start-offset", "1000000"), ("-s", "512k", "-l", "5M"), ("--max-length", "1G"), ("-s", "8M", "-U")],
    ids=" ".join,
)
@pytest.mark.parametrize("output", ["human", "json"])
def test_prints_what_qemu_img_prints(words: tuple[str, ...], output: str, overlay: Path) -> None:
    theirs = qemu_img(overlay.parent, "map", "--output", output, *words, overlay.name)
    ours = virtkit(overlay.parent, "map", "--output", output, *words, overlay.name)
    told = ours.out.replace(', "compressed": false', "")  # which this qemu-img may not tell
    assert (ours.status, told) == (theirs.status, theirs.out.replace(', "compressed": false', ""))


def test_more_is_told_on_request(image: Path) -> None:
    lines = virtkit(image.parent, "map", "-v", image.name).out.splitlines()
    assert lines[1].endswith("unallocated")
    assert lines[2].endswith("data")


def test_compressed_data_has_no_place_to_tell(image: Path) -> None:
    run("qemu-img", "convert", "-c", "-O", "qcow2", image, image.parent / "small.qcow2")
    assert qemu_img(image.parent, "map", "small.qcow2").status == 1
    said = virtkit(image.parent, "map", "small.qcow2")
    assert said.status == 1
    assert "virtkit disk map -v" in said.err
    assert virtkit(image.parent, "map", "-v", "small.qcow2").out.endswith("compressed\n")
    entries = json.loads(virtkit(image.parent, "map", "--output", "json", "small.qcow2").out)
    assert [(entry["start"], entry["compressed"]) for entry in entries] == [(0, False), (4 * MIB, True)]


@pytest.mark.parametrize("words", [("-s", "100M"), ("-l", "0")], ids=" ".join)
def test_nothing_to_tell_is_an_empty_list(words: tuple[str, ...], image: Path) -> None:
    assert virtkit(image.parent, "map", "--output", "json", *words, image.name).out == "[]\n"


def test_options_of_qemus_drivers_are_refused_with_the_reason(image: Path) -> None:
    said = virtkit(image.parent, "map", "--image-opts", "driver=qcow2,file.filename=disk.qcow2")
    assert said.status == 2
    assert "graphs of QEMU's drivers" in said.err


@pytest.mark.parametrize("more", [(), ("-v",)], ids=["", "verbose"])
def test_an_image_that_cannot_be_opened_gets_no_heading(more: tuple[str, ...], image: Path) -> None:
    said = virtkit(image.parent, "map", *more, "absent.qcow2")
    assert (said.status, said.out) == (1, "")
