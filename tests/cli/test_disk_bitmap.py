"""``virtkit disk bitmap`` as a person or a script runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.typed import virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
    return path


def listed(path: Path) -> list[dict[str, object]]:
    told = json.loads(run("qemu-img", "info", "--output", "json", path))["format-specific"]["data"]
    found: list[dict[str, object]] = told.get("bitmaps", [])
    return found


def test_steps_are_done_in_the_order_in_which_they_are_typed(image: Path) -> None:
    said = virtkit(image.parent, "bitmap", "--add", "-g", "1M", image.name, "weekly")
    assert (said.status, said.out) == (0, "✓ disk.qcow2: bitmap weekly, 1 MiB a bit, records\n")
    said = virtkit(
        image.parent, "bitmap", "--output", "json", "--add", "--disable", "--merge", "weekly", image.name, "a"
    )
    assert json.loads(said.out) == listed(image)
    assert [(one["name"], one["flags"]) for one in listed(image)] == [("weekly", ["auto"]), ("a", [])]
    said = virtkit(image.parent, "bitmap", "--remove", image.name, "weekly")
    assert said.out == "✓ disk.qcow2: bitmap weekly is gone\n"
    assert virtkit(image.parent, "bitmap", "--remove", "--add", image.name, "a").status == 0
    assert [(one["name"], one["granularity"]) for one in listed(image)] == [("a", 65536)]


def test_a_plan_changes_nothing(image: Path) -> None:
    before = image.read_bytes()
    said = virtkit(image.parent, "bitmap", "--plan", "--add", "--merge", "b", image.name, "a")
    assert (said.status, said.out) == (3, "~ disk.qcow2: add bitmap a\n~ disk.qcow2: merge b into bitmap a\n")
    assert image.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "bitmap --add disk.qcow2 a"),
        (("-g", "1M", "--clear"), 2, "-g is for --add alone"),
        (("-b", "disk.qcow2", "--clear"), 2, "-b is for --merge alone"),
        (("--add", "--enable", "--disable"), 2, "contradict each other"),
        (("--clear",), 1, "has no bitmap a"),
        (("--add", "-f", "raw", "--trust-format"), 1, "keep no bitmaps"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], status: int, said: str, image: Path) -> None:
    before = image.read_bytes()
    done = virtkit(image.parent, "bitmap", *words, image.name, "a")
    assert (done.status, said in done.err) == (status, True), done.err
    assert image.read_bytes() == before
