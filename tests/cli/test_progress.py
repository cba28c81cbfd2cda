"""What somebody sees, or a program reads, of work that takes its time."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.typed import virtkit
from virtkit.cli import progress
from virtkit.core.progress import Course, Started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIB = 1 << 20
SLOWLY = ("-f", "raw", "-r", "4M", "disk.raw", "new.qcow2")  # for about a second
ASK = [getattr(signal, name) for name in ("SIGUSR1", "SIGINFO") if hasattr(signal, name)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "disk.raw").write_bytes(random.Random(1).randbytes(4 * MIB))
    return tmp_path


def start(folder: Path, *words: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "virtkit", "disk", "convert", *words]
    env = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    return subprocess.Popen(command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=stderr)


def on_a_terminal(folder: Path, *words: str) -> str:
    ours, theirs = os.openpty()
    with start(folder, *words, stderr=theirs) as running:
        os.close(theirs)
        said = b"".join(_pieces(ours))
        assert running.wait(60) == 0
    return said.decode()


def _pieces(fd: int) -> Iterator[bytes]:
    try:
        while piece := os.read(fd, 65536):
            yield piece
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(fd)


def test_without_a_terminal_it_is_silent_unless_asked(folder: Path) -> None:
    assert virtkit(folder, "convert", *SLOWLY).err == ""
    asked = virtkit(folder, "convert", "-p", "--overwrite", *SLOWLY).err.splitlines()
    assert asked[0] == "convert disk.raw"
    assert any("MiB of 4 MiB), " in line and line.endswith(" left") and "iB/s, " in line for line in asked)
    assert virtkit(folder, "convert", "-p", "-q", "--overwrite", *SLOWLY).err == ""


def test_on_a_terminal_one_line_lives_and_is_gone_at_the_end(folder: Path) -> None:
    said = on_a_terminal(folder, *SLOWLY)
    pictures = said.split("\r")
    assert len(pictures) > 3
    assert any("% (" in picture and "█" in picture and picture.endswith("left\x1b[K") for picture in pictures)
    assert pictures[-1] == "\x1b[K"
    assert "\n" not in said


def test_short_work_draws_nothing(folder: Path) -> None:
    assert on_a_terminal(folder, "-f", "raw", "disk.raw", "new.qcow2") == ""


def test_json_events_come_line_by_line_and_the_answer_last(folder: Path) -> None:
    *lines, last = virtkit(folder, "convert", "--output", "json", "--verify", *SLOWLY).out.splitlines()
    events = [json.loads(line) for line in lines]
    assert json.loads(last)["filename"] == "new.qcow2"
    assert [event["event"] for event in events if event["event"] != "advanced"] == ["started", "finished"] * 2
    assert [event["step"] for event in events if event["event"] == "started"] == [
        "convert disk.raw",
        "compare disk.raw",
    ]
    moving = [event for event in events if event["event"] == "advanced" and event["step"] == "convert disk.raw"]
    assert 1 <= len(moving) <= 10
    assert all(event["total"] == 4 * MIB and 0 < event["done"] <= 4 * MIB for event in moving)
    assert all(isinstance(event["rate"], int) and event["eta"] >= 0 for event in moving)
    assert [event["done"] for event in events if event["event"] == "finished"] == [4 * MIB] * 2


def test_an_error_is_the_last_line(folder: Path) -> None:
    (folder / "broken.qcow2").write_bytes(b"QFI\xfb" + bytes(600))
    lines = virtkit(folder, "convert", "--output", "json", "broken.qcow2", "new.raw").out.splitlines()
    assert json.loads(lines[-1])["event"] == "error"


def test_a_reader_that_goes_does_not_end_the_work(folder: Path) -> None:
    with start(folder, "--output", "json", *SLOWLY) as running:
        assert running.stdout
        assert running.stderr
        assert json.loads(running.stdout.readline())["event"] == "started"
        running.stdout.close()
        assert running.stderr.read() == ""
        running.wait(60)
    assert virtkit(folder, "compare", "-f", "raw", "-F", "qcow2", "disk.raw", "new.qcow2").status == 0


@pytest.mark.parametrize("number", ASK, ids=lambda number: number.name)
@pytest.mark.parametrize("quiet", [[], ["-q"], ["-p"]], ids=str)
def test_a_signal_asks_how_far_it_is(number: signal.Signals, quiet: list[str], folder: Path) -> None:
    with start(folder, "--output", "json", *SLOWLY) as running:
        assert running.stdout
        running.stdout.readline()
        running.send_signal(number)
        assert running.stderr
        told = running.stderr.readline()
        running.communicate(timeout=60)
    assert told.startswith("convert disk.raw: ")
    assert " MiB of 4 MiB)" in told or told.startswith("convert disk.raw: 0 % (0 B")
    assert running.returncode == 0


@pytest.mark.parametrize("number", ASK, ids=lambda number: number.name)
def test_a_signal_does_not_end_who_has_nothing_to_tell(number: signal.Signals, folder: Path) -> None:
    """It waits for a passphrase, and nobody types one."""
    command = [sys.executable, "-m", "virtkit", "disk", "serve", "-f", "raw", "--output", "json", "disk.raw"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stderr
        running.stdout.readline()
        running.send_signal(number)
        assert running.stderr.readline() == "virtkit: nothing to tell yet\n"
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=30)


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0 s"), (59.6, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_are_told_in_two_units(seconds: float, told: str) -> None:
    assert progress.duration(seconds) == told


@pytest.mark.parametrize("columns", [10, 40, 79, 200])
def test_a_picture_fits_its_terminal(columns: int) -> None:
    course = Course(Started("convert a-rather-long-name.qcow2", 10 << 30, 3 << 30))
    assert len(progress.picture(course, columns)) <= columns
