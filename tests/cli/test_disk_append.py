"""``virtkit disk append``, as a person or a script runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.images import MIB, run
from support.typed import virtkit

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"x" * MIB)
    return path


def test_append_tells_both_sizes_before_and_after(disk: Path) -> None:
    said = virtkit(disk.parent, "append", "disk.img", "3M")
    assert said.status == 0
    assert said.out == "✓ disk.img: 1 MiB -> 4 MiB (4194304 bytes), on the file system 1 MiB -> 1 MiB\n"
    assert disk.read_bytes() == b"x" * MIB + bytes(3 * MIB)


def test_as_json_it_has_the_keys_of_info(disk: Path) -> None:
    said = json.loads(virtkit(disk.parent, "append", "disk.img", "1M", "--output", "json").out)
    assert said == {
        "filename": "disk.img",
        "virtual-size-before": MIB,
        "virtual-size": 2 * MIB,
        "actual-size-before": MIB,
        "actual-size": MIB,
        "notes": [],
    }


def test_a_plan_ends_with_3_and_changes_nothing(disk: Path) -> None:
    said = virtkit(disk.parent, "append", "disk.img", "1M", "--plan")
    assert (said.status, "~ disk.img: 1 MiB -> 2 MiB" in said.out) == (3, True)
    assert disk.stat().st_size == MIB


def test_it_says_what_to_do_in_the_guest(disk: Path) -> None:
    disk.write_bytes(bytes(8 * MIB))
    run("sh", "-c", f"printf 'label: gpt\\n,4M\\n' | sfdisk -q {disk}")
    said = virtkit(disk.parent, "append", "disk.img", "4M")
    assert said.status == 0
    assert "the backup of the GPT is not at the disk's end any more; in the guest: sgdisk -e" in said.err
    assert "in the guest: growpart /dev/vda 1, then resize2fs" in said.err


@pytest.mark.qemu
def test_other_formats_have_a_verb_of_their_own(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "a.img", "1M")
    said = virtkit(tmp_path, "append", "a.img", "1M")
    assert said.status == 2
    assert "virtkit disk resize a.img +SIZE" in said.err
