"""``virtkit disk`` as a person or a script runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.images import Specimen, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


class Said:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr


def virtkit(folder: Path, *words: str, **environment: str) -> Said:
    command = [sys.executable, "-m", "virtkit", "disk", *words]
    env = {**os.environ, "LC_ALL": "C.UTF-8", **environment}
    return Said(subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """8 MiB whose second half holds data."""
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 4M 4M", path)
    return path


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


def test_info_of_several_files_goes_on_after_a_bad_one(image: Path) -> None:
    said = virtkit(image.parent, "info", image.name, "absent", image.name)
    assert said.status == 1
    assert said.out.count("disk.qcow2: qcow2") == 2
    assert "absent: no such file" in said.err


def test_json_of_info_is_an_object_or_a_list_of_objects(image: Path) -> None:
    one = json.loads(virtkit(image.parent, "info", "--output", "json", image.name).out)
    two = json.loads(virtkit(image.parent, "info", "--output", "json", image.name, image.name).out)
    assert two == [one, one]


def test_map_is_a_table_or_json(image: Path) -> None:
    assert virtkit(image.parent, "map", image.name).out.splitlines()[1].endswith("unallocated")
    entries = json.loads(virtkit(image.parent, "map", "--output", "json", image.name).out)
    assert [(entry["start"], entry["data"]) for entry in entries] == [(0, False), (4 << 20, True)]


def test_converts_by_suffix_and_says_what_it_made(image: Path) -> None:
    said = virtkit(image.parent, "convert", image.name, "new.raw")
    assert (said.status, said.out) == (0, "+ new.raw: raw, 8 MiB virtual, 4 MiB on disk\n")
    assert virtkit(image.parent, "compare", "-F", "raw", image.name, "new.raw").out == "Images are identical.\n"


def test_compression_takes_a_level_and_a_type(image: Path) -> None:
    options = ("-c", "--level", "fast", "-o", "compression_type=zstd,cluster_size=32K")
    assert virtkit(image.parent, "convert", *options, image.name, "new.qcow2").status == 0
    info = json.loads(run("qemu-img", "info", "--output", "json", image.parent / "new.qcow2"))
    assert info["cluster-size"] == 32768
    assert info["format-specific"]["data"]["compression-type"] == "zstd"


def test_a_plan_is_one_line_and_changes_nothing(image: Path) -> None:
    said = virtkit(image.parent, "convert", "--plan", image.name, "new.raw")
    assert said.status == 3
    assert [line for line in said.out.splitlines() if line.startswith("  + ")] == said.out.splitlines()[1:]
    assert os.listdir(image.parent) == [image.name]
    assert virtkit(image.parent, "convert", "--plan", image.name, image.name).status == 2


@pytest.mark.parametrize(
    ("words", "status", "hint"),
    [
        (("convert", "disk.qcow2", "bytes", "-O", "raw"), 2, "--overwrite"),
        (("convert", "disk.qcow2", "new.bin"), 2, "-O"),
        (("convert", "disk.qcow2", "new.qcow2", "-o", "size"), 2, "-o cluster_size=64K"),
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


def test_compare_ends_with_the_statuses_of_qemu_img(image: Path) -> None:
    folder = image.parent
    assert virtkit(folder, "convert", image.name, "other.qcow2").status == 0
    assert virtkit(folder, "compare", "-s", image.name, "other.qcow2").status == 0
    run("qemu-io", "-f", "qcow2", "-c", "write -P 8 5M 1k", folder / "other.qcow2")
    said = virtkit(folder, "compare", image.name, "other.qcow2")
    assert (said.status, said.out) == (1, f"Content mismatch at offset {5 << 20}!\n")
    run("qemu-img", "resize", "-q", folder / "other.qcow2", "9M")
    assert virtkit(folder, "compare", "-s", image.name, "other.qcow2").status == 1
    assert virtkit(folder, "compare", image.name, "absent").status == 2


def test_check_ends_with_the_statuses_of_qemu_img(image: Path) -> None:
    folder = image.parent
    assert virtkit(folder, "check", image.name).status == 0
    ours = json.loads(virtkit(folder, "check", "--output", "json", image.name).out)
    assert ours == json.loads(run("qemu-img", "check", "--output", "json", image)) | {"filename": image.name}
    Specimen("vmdk").make(folder)
    assert virtkit(folder, "check", "image.vmdk").status == 63
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


def test_formats_are_those_of_the_folder(tmp_path: Path) -> None:
    known = {entry["name"]: entry for entry in json.loads(virtkit(tmp_path, "formats", "--output", "json").out)}
    assert known["qcow2"]["writable"]
    assert known["qcow2"]["checkable"]
    assert known["raw"]["writable"]
    assert not known["raw"]["checkable"]
    assert "vmdk" in virtkit(tmp_path, "formats").out


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("a.vdi", 1, "vdi: images of this format can be read only"),
        ("a.xyz", 2, "a.xyz: format is not said, expected one of qcow2, raw"),
    ],
)
def test_a_target_that_cannot_be_written_is_told_before_anything_is_read(
    image: Path, target: str, status: int, said: str
) -> None:
    done = virtkit(image.parent, "convert", image.name, target)
    assert (done.status, said in done.err) == (status, True), done.err
    assert not (image.parent / target).exists()
