"""``virtkit disk`` as a person or a script runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import Specimen, run
from support.typed import virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


def test_info_begins_with_format_and_size_and_draws_where_the_data_is(image: Path) -> None:
    said = virtkit(image.parent, "info", image.name)
    lines = said.out.splitlines()
    assert lines[0] == "disk.qcow2: qcow2, 8 MiB (8388608 bytes)"
    assert [line.strip() for line in lines[-2:]] == ["░" * 64, "█" * 64]


@pytest.mark.parametrize(
    ("environment", "rows"),
    [
        ({"VIRTKIT_GLYPHS": "ascii"}, ["." * 64, "#" * 64]),
        ({"VIRTKIT_GLYPHS": "braille"}, ["⠀" * 64, "⣿" * 64]),
        ({"LC_ALL": "", "LANG": "zh_CN.UTF-8", "PYTHONUTF8": "1"}, ["⠀" * 64, "⣿" * 64]),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, ["." * 64, "#" * 64]),
    ],
    ids=["ascii", "braille", "chinese", "not UTF-8"],
)
def test_the_picture_suits_the_terminal(environment: dict[str, str], rows: list[str], image: Path) -> None:
    said = virtkit(image.parent, "info", image.name, **environment)
    assert [line[4:] for line in said.out.splitlines()[-2:]] == rows


def test_the_picture_of_a_huge_disk_is_drawn_at_once(tmp_path: Path) -> None:
    with (tmp_path / "huge.raw").open("wb") as file:
        file.write(b"x" * (1 << 20))
        file.truncate(8 << 40)
    said = virtkit(tmp_path, "info", "-f", "raw", "huge.raw", VIRTKIT_GLYPHS="ascii")
    assert said.out.splitlines()[-2].strip() == "-" + "." * 63


@pytest.mark.parametrize(("size", "told"), [(1536, "12 B"), (64 << 10, "512 B"), ((64 << 10) + 512, "516 B")])
def test_the_picture_says_what_a_character_stands_for(size: int, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"x" * size)
    assert f"a character is {told}:" in virtkit(tmp_path, "info", "-f", "raw", "a.raw").out


def test_info_of_several_files_goes_on_after_a_bad_one(image: Path) -> None:
    said = virtkit(image.parent, "info", image.name, "absent", image.name)
    assert said.status == 1
    assert said.out.count("disk.qcow2: qcow2") == 2
    assert "absent: no such file" in said.err


def test_json_of_info_is_an_object_or_a_list_of_objects(image: Path) -> None:
    one = json.loads(virtkit(image.parent, "info", "--output", "json", image.name).out)
    two = json.loads(virtkit(image.parent, "info", "--output", "json", image.name, image.name).out)
    assert two == [one, one]


@pytest.mark.parametrize(
    ("words", "status", "hint"),
    [
        (("convert", "disk.qcow2", "bytes", "-O", "raw"), 2, "--overwrite"),
        (("convert", "disk.qcow2", "new.bin"), 2, "-O"),
        (("convert", "disk.qcow2", "new.qcow2", "-o", "=64K"), 2, "-o cluster_size=64K"),
        (("info", "-f", "vdi", "disk.qcow2"), 1, "-f qcow2"),
        (("info", "bytes"), 1, "-f raw"),
    ],
    ids=str,
)
def test_an_error_says_what_to_type_next(words: tuple[str, ...], status: int, hint: str, image: Path) -> None:
    (image.parent / "bytes").write_bytes(bytes(1024))
    said = virtkit(image.parent, *words)
    assert said.status == status
    assert hint in said.err.splitlines()[-1]
    assert json.loads(virtkit(image.parent, *words, "--output", "json").out)["status"] == status


def test_check_ends_with_the_statuses_of_qemu_img(image: Path) -> None:
    folder = image.parent
    assert virtkit(folder, "check", image.name).status == 0
    ours = json.loads(virtkit(folder, "check", "--output", "json", image.name).out)
    assert ours == json.loads(run("qemu-img", "check", "--output", "json", image)) | {"filename": image.name}
    Specimen("raw").make(folder)
    assert virtkit(folder, "check", "-f", "raw", "image.raw").status == 63
    assert virtkit(folder, "check", "absent").status == 1
    with image.open("r+b") as file:  # one more cluster at the end that is counted as used
        table = int.from_bytes(image.read_bytes()[48:56], "big")
        block = int.from_bytes(image.read_bytes()[table : table + 8], "big")
        clusters = image.stat().st_size // 65536
        file.seek(block + 2 * clusters)
        file.write(b"\0\1")
        file.truncate((clusters + 1) * 65536)
    assert virtkit(folder, "check", image.name).status == 3
    with image.open("r+b") as file:  # no cluster is counted as used
        file.seek(block)
        file.write(bytes(2 * clusters))
    assert virtkit(folder, "check", image.name).status == 2
