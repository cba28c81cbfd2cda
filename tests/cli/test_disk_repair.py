"""``virtkit disk repair`` and ``check -r`` as a person or a script runs them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.damage import counted_by_qemu
from support.images import run
from support.typed import virtkit

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
BLOCK = 0x20000  # where QEMU puts the first refcount block of an image with clusters of 64 KiB


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A cluster that is counted five times, and one that is not counted at all."""
    path = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 4M 1M", path)
    with path.open("r+b") as file:
        file.seek(BLOCK + 2 * 5)
        file.write(b"\0\5\0\0")
    return path


def sound(path: Path) -> bool:
    counts = counted_by_qemu(path)
    return not counts.corruptions and not counts.leaks


def test_a_plan_says_what_would_change_and_changes_nothing(image: Path) -> None:
    before = image.read_bytes()
    said = virtkit(image.parent, "repair", "--plan", image.name)
    assert said.status == 3
    assert said.out.splitlines()[1:] == [
        "  ~ refcount block 0 at 0x20000: refcounts put right: 2",
        "  bytes of the file that would be written: 3",
        "    0x2000b to 0x2000e",
        "  corruptions: 3 -> 0, leaks: 1 -> 0",
    ]
    assert image.read_bytes() == before
    told = json.loads(virtkit(image.parent, "repair", "--dry-run", "--output", "json", image.name).out)
    virtkit(image.parent, "repair", "-y", image.name)
    now = image.read_bytes().ljust(told["file-size"], b"\0")
    assert len(now) == told["file-size"] == image.stat().st_size
    rebuilt = bytearray(before.ljust(len(now), b"\0"))
    for stretch in told["stretches"]:
        rebuilt[stretch["start"] : stretch["start"] + stretch["length"]] = now[stretch["start"] :][: stretch["length"]]
    assert rebuilt == now


def test_what_was_repaired_can_be_taken_back_with_the_command_that_it_says(image: Path) -> None:
    before = image.read_bytes()
    said = virtkit(image.parent, "repair", "-y", image.name)
    assert said.status == 0
    assert sound(image)
    command = said.out.splitlines()[0].partition("(to take it back: virtkit disk ")[2].rstrip(")").split()
    assert command == ["repair", "--take-back", "disk.qcow2.undo1", "disk.qcow2"]
    assert virtkit(image.parent, *command, "-y").status == 0
    assert image.read_bytes() == before


def test_an_image_that_a_guest_wrote_to_since_is_not_taken_back(image: Path) -> None:
    virtkit(image.parent, "repair", "-y", "--undo-file", "mine", image.name)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 8 0 1M", image)
    now = image.read_bytes()
    said = virtkit(image.parent, "repair", "-y", "--take-back", "mine", image.name)
    assert (said.status, "was changed after" in said.err, "--force" in said.err) == (1, True, True)
    assert image.read_bytes() == now


def test_a_sound_image_needs_no_repair_and_gets_no_undo_file(image: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", image.parent / "new.qcow2", "8M")
    assert virtkit(image.parent, "repair", "--plan", "new.qcow2").status == 0
    said = virtkit(image.parent, "repair", "new.qcow2")
    assert (said.status, said.out.splitlines()[0]) == (0, "✓ new.qcow2: nothing to repair")
    assert sorted(path.name for path in image.parent.iterdir()) == ["disk.qcow2", "new.qcow2"]


def test_without_a_terminal_nothing_is_changed_unasked(image: Path) -> None:
    before = image.read_bytes()
    said = virtkit(image.parent, "repair", image.name)
    assert said.status == 2
    assert "add -y" in said.err
    assert image.read_bytes() == before


def test_an_undo_file_that_is_there_is_kept(image: Path) -> None:
    (image.parent / "mine").write_text("precious")
    said = virtkit(image.parent, "repair", "-y", "--undo-file", "mine", image.name)
    assert (said.status, "mine: exists already" in said.err) == (2, True)
    assert (image.parent / "mine").read_text() == "precious"


@pytest.mark.parametrize("what", ["all", "leaks"])
def test_check_repairs_with_the_statuses_and_keys_of_qemu_img(what: str, image: Path) -> None:
    theirs = shutil.copyfile(image, image.parent / "theirs.qcow2")
    if what == "leaks":  # qemu-img mends no leaks of an image that is corrupt in this way
        for path in (image, theirs):
            with path.open("r+b") as file:
                file.seek(BLOCK + 2 * 6)
                file.write(b"\0\1")
    command = ["qemu-img", "check", "-r", what, "--output", "json", str(theirs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = virtkit(image.parent, "check", "-r", what, "--output", "json", image.name)
    assert said.status == done.returncode == 0
    ours, told = json.loads(said.out), json.loads(done.stdout)
    assert sound(image)
    assert {"leaks-fixed", "undo", "changes"} <= ours.keys()
    assert ours["leaks-fixed"] == told["leaks-fixed"]
    if what == "all":  # QEMU does not count flags that were right as soon as the refcounts were
        assert ours["corruptions-fixed"] >= told["corruptions-fixed"] > 0


def test_other_formats_are_repaired_and_taken_back_too(tmp_path: Path) -> None:
    path = tmp_path / "a.vdi"
    run("qemu-img", "create", "-q", "-f", "vdi", path, "8M")
    run("qemu-io", "-f", "vdi", "-c", "write 0 3M", path)
    with path.open("r+b") as file:  # the first two blocks of the disk are said to be one
        file.seek(0x200)
        first = file.read(4)
        file.write(first)
    before = path.read_bytes()
    assert virtkit(tmp_path, "check", path.name).status == 2
    said = virtkit(tmp_path, "repair", "-y", path.name)
    assert said.status == 0, said.err
    assert "  ~ " in said.out
    assert path.read_bytes() != before
    assert virtkit(tmp_path, "repair", "-y", "--take-back", "a.vdi.undo1", path.name).status == 0
    assert path.read_bytes() == before


def test_data_that_was_cut_off_is_not_called_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", path, "8M")
    run("qemu-io", "-f", "vmdk", "-c", "write -P 1 0 3M", path)
    with path.open("r+b") as file:
        file.truncate(1 << 20)
    said = virtkit(tmp_path, "repair", "-y", path.name)
    assert (said.status, said.out.split()[0], "--salvage" in said.out) == (2, "✗", True)
    plan = virtkit(tmp_path, "repair", "--plan", path.name)
    assert plan.status == 0
    assert " corruptions and " in plan.out
    assert virtkit(tmp_path, "convert", path.name, "new.qcow2").err.splitlines()[-1].startswith("  try: --salvage ")


def test_formats_without_a_repair_end_with_status_63(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(1 << 20))
    assert virtkit(tmp_path, "check", "-r", "all", "-f", "raw", "a.raw").status == 63
    assert virtkit(tmp_path, "repair", "-y", "-f", "raw", "a.raw").status == 1


KILLED = """
import os, sys
from virtkit import disk
countdown, real = int(sys.argv[2]), os.pwrite
def counted(fd, data, at):
    global countdown
    countdown -= 1
    if countdown < 0:
        real(fd, data[: len(data) // 2], at)
        os.kill(os.getpid(), 9)
    return real(fd, data, at)
os.pwrite = counted
disk.repair(sys.argv[1])
"""


@pytest.mark.parametrize("writes", range(0, 12, 2))
def test_a_killed_repair_is_taken_back_or_done_again(writes: int, image: Path) -> None:
    before = image.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(image), str(writes)], check=False, timeout=60)
    assert done.returncode in {0, -signal.SIGKILL}
    copy = shutil.copyfile(image, image.parent / "copy.qcow2")
    assert virtkit(image.parent, "repair", "-y", copy.name).status == 0
    assert sound(copy)
    undo = image.parent / "disk.qcow2.undo1"
    if writes:  # the first write is the head of the undo file
        assert virtkit(image.parent, "repair", "-y", "--take-back", undo.name, image.name).status == 0
    assert image.read_bytes() == before
