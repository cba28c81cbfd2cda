"""``disk measure`` prints qemu-img's numbers."""

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


@pytest.mark.parametrize(
    "words",
    [
        ("--size", "1000000"),
        ("-f", "qcow2", "disk.qcow2"),
        ("-O", "qcow2", "-o", "cluster_size=4k", "-f", "raw", "disk.raw"),
    ],
    ids=" ".join,
)
def test_prints_what_qemu_img_prints(words: tuple[str, ...], image: Path) -> None:
    run("qemu-img", "convert", "-O", "raw", image, image.parent / "disk.raw")
    theirs, ours = qemu_img(image.parent, "measure", *words), virtkit(image.parent, "measure", *words)
    assert (ours.status, ours.out) == (0, theirs.out)
    told = json.loads(virtkit(image.parent, "measure", "--output", "json", *words).out)
    assert told == json.loads(qemu_img(image.parent, "measure", "--output", "json", *words).out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "neither FILE nor --size"),
        (("--size", "1G", "disk.qcow2"), "--size is given"),
        (("--size", "1G", "-f", "raw"), "are about FILE"),
        (("--size", "1G", "-O", "qcow2", "-o", "flavour=sweet"), "flavour"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_said(words: tuple[str, ...], said: str, image: Path) -> None:
    done = virtkit(image.parent, "measure", *words)
    assert (done.status, said in done.err) == (2, True), done.err
