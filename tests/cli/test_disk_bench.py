"""``disk bench`` asks for the same bytes as qemu-img bench, and counts what it did."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.typed import qemu_img, virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


@pytest.mark.parametrize(
    "words",
    [
        "-c 100",
        "-c 100 -d 8 --pattern 77",
        "-c 30 -s 1000 -o 500 --pattern 255",
        "-c 40 -s 3k -S 200k -o 1M --pattern 1",
        "-c 3000 -S 7k -s 1k --pattern 9 -d 4",
        "-c 25 -s 512k -S 4608k --pattern 3",
        "-c 23 -d 3 --flush-interval 5 --pattern 4",
        "-c 23 -d 3 --flush-interval 5 --no-drain --pattern 4",
    ],
)
def test_writes_what_qemu_img_writes(words: str, image: Path, tmp_path: Path) -> None:
    shutil.copy(image, tmp_path / "theirs.qcow2")
    assert qemu_img(tmp_path, "bench", "-w", "-f", "qcow2", *words.split(), "theirs.qcow2").status == 0
    assert virtkit(tmp_path, "bench", "-y", "-w", *words.split(), "disk.qcow2").status == 0
    assert qemu_img(tmp_path, "compare", "disk.qcow2", "theirs.qcow2").status == 0
    assert qemu_img(tmp_path, "check", "disk.qcow2").status == 0


def test_first_lines_are_qemu_img_s(image: Path, tmp_path: Path) -> None:
    words = ("bench", "-c", "20", "-d", "4", "-s", "8k", "-o", "4M", "-S", "16k", "-f", "qcow2", "disk.qcow2")
    ours, theirs = (asked(tmp_path, *words).out.splitlines() for asked in (virtkit, qemu_img))
    assert ours[0] == theirs[0]
    assert [line.split(" in ")[0] for line in ours[1:2]] == ["Run completed"]
    assert ours[2].split()[1::2] == ["requests/s,", "MiB/s"]
    assert ours[3].startswith("latency: mean ")


@pytest.mark.parametrize(
    ("words", "flushes"),
    [
        (("--flush-interval", "5"), 5),
        (("--flush-interval", "5", "--no-drain"), 5),
        (("--flush-interval", "5", "-d", "5"), 5),
        (("--flush-interval", "100"), 1),
        ((), 0),
    ],
    ids=str,
)
def test_flushes_as_often_as_asked(words: tuple[str, ...], flushes: int, image: Path) -> None:
    said = virtkit(image.parent, "bench", "-y", "-w", "-c", "23", *words, "--output", "json", image.name)
    told = json.loads(said.out)
    assert (told["flushes"], told["count"], told["write"]) == (flushes, 23, True)


def test_json_has_rates_that_agree_with_its_times(image: Path) -> None:
    told = json.loads(virtkit(image.parent, "bench", "-c", "500", "--random", "--output", "json", image.name).out)
    assert told["requests-per-second"] * told["seconds"] == pytest.approx(500)
    assert told["bytes-per-second"] * told["seconds"] == pytest.approx(500 * 4096)
    shares = [told["latency"][name] for name in ("50%", "90%", "99%", "99.9%", "longest")]
    assert shares == sorted(shares)
    assert 0 < told["latency"]["mean"] * 500 <= told["seconds"]


def test_writing_asks_first_and_plans(image: Path) -> None:
    before = image.read_bytes()
    declined = virtkit(image.parent, "bench", "-w", image.name)
    planned = virtkit(image.parent, "bench", "-w", "--plan", image.name)
    assert (declined.status, planned.status) == (2, 3)
    assert "75000 writes of 4 KiB from byte 0 on; what the disk holds there is lost" in planned.out
    assert image.read_bytes() == before


def test_reading_has_no_changes_to_plan(image: Path) -> None:
    assert virtkit(image.parent, "bench", "--plan", image.name).status == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-c 0", "count is 0, expected 1 to 2147483647"),
        ("-s 9M", "buffer size is 9437184, expected 1 to 8388608"),
        ("-o 8M", "offset is 8388608, expected 0 to 8384512"),
        ("-d 257", "depth is 257, expected 1 to 256"),
        ("--flush-interval 5", "flush interval is given, and nothing is written"),
        ("-y -w -d 8 --flush-interval 5", "flush interval is 5, expected at least the depth, 8"),
        ("-y -w --pattern 256", "pattern is 256, expected 0 to 255"),
        ("-y -w -U", "would write, too"),
        ("--random -S 8k", "--random is anywhere"),
    ],
)
def test_what_cannot_be_asked(words: str, message: str, image: Path) -> None:
    said = virtkit(image.parent, "bench", *words.split(), image.name)
    assert said.status == 2
    assert message in said.err


def test_a_write_that_fails_ends_it(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "a.qcow2", "64M")
    limited = ("prlimit", "--fsize=4194304", sys.executable, "-m", "virtkit", "disk")
    words = ("bench", "-y", "-w", "-d", "4", "-s", "64k", "-c", "1000", "-q", "a.qcow2")
    done = subprocess.run([*limited, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "a.qcow2" in done.stderr
    assert not done.stdout
    assert qemu_img(tmp_path, "check", "a.qcow2").status in {0, 3}  # leaks at worst
