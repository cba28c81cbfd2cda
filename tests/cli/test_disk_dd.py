"""``disk dd`` takes the same blocks as qemu-img dd."""

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
    "operands",
    [
        (),
        ("bs=1M", "count=6"),
        ("bs=1M", "skip=3"),
        ("bs=1M", "count=6", "skip=5"),
        ("bs=1000", "count=6001", "skip=4999"),
        ("bs=3k", "skip=1365"),
        ("bs=64k", "count=1000000"),
        ("bs=1M", "skip=9"),
        ("count=3", "skip=5"),
        ("bs=9M",),
    ],
    ids=" ".join,
)
def test_makes_the_file_that_qemu_img_makes(operands: tuple[str, ...], image: Path, tmp_path: Path) -> None:
    theirs = qemu_img(tmp_path, "dd", "-f", "qcow2", "-O", "raw", *operands, "if=disk.qcow2", "of=theirs.raw")
    ours = virtkit(tmp_path, "dd", "-f", "qcow2", "-O", "raw", *operands, "if=disk.qcow2", "of=ours.raw")
    assert (ours.status, theirs.status) == (0, 0)
    assert (tmp_path / "ours.raw").read_bytes() == (tmp_path / "theirs.raw").read_bytes()


def test_every_format_can_be_made(image: Path) -> None:
    assert virtkit(image.parent, "dd", "bs=1M", "skip=2", "if=disk.qcow2", "of=new.qcow2").status == 0
    run("qemu-img", "dd", "-O", "raw", "bs=1M", "skip=2", f"if={image}", f"of={image.parent}/new.raw")
    assert qemu_img(image.parent, "compare", "-F", "raw", "new.qcow2", "new.raw").status == 0


def test_an_existing_output_is_kept(image: Path) -> None:
    (image.parent / "mine.raw").write_text("mine")
    words = ("dd", "bs=1M", "count=1", "if=disk.qcow2", "of=mine.raw")
    assert virtkit(image.parent, *words).status == 2
    assert (image.parent / "mine.raw").read_text() == "mine"
    assert virtkit(image.parent, *words, "--overwrite").status == 0
    assert (image.parent / "mine.raw").stat().st_size == MIB


@pytest.mark.parametrize(
    ("operands", "said"),
    [
        (("if=disk.qcow2",), "of= is missing"),
        (("of=new.raw",), "if= is missing"),
        (("if=disk.qcow2", "of=new.raw", "seek=1"), "operand is seek=1"),
        (("if=disk.qcow2", "of=new.raw", "bs=0"), "bs is 0"),
        (("if=disk.qcow2", "of=new.raw", "count"), "operand is count"),
    ],
    ids=str,
)
def test_operands_are_checked(operands: tuple[str, ...], said: str, image: Path) -> None:
    done = virtkit(image.parent, "dd", *operands)
    assert (done.status, said in done.err) == (2, True), done.err
    assert not (image.parent / "new.raw").exists()


def test_a_plan_writes_nothing(image: Path) -> None:
    said = virtkit(image.parent, "dd", "--plan", "--output", "json", "bs=1M", "skip=2", "if=disk.qcow2", "of=new.raw")
    assert said.status == 3
    [step] = json.loads(said.out)["actions"]
    assert (step["sign"], "6 MiB" in step["text"]) == ("+", True)
    assert not (image.parent / "new.raw").exists()
