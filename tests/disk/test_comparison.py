from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from support.images import run
from virtkit import disk
from virtkit.core.progress import Advanced, Event

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
MIB = 1 << 20


def qemu_says(one: Path, other: Path, *flags: str) -> str:
    command = ["qemu-img", "compare", "-f", "raw", "-F", "raw", *flags, str(one), str(other)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def raw(path: Path, *content: tuple[int, bytes], size: int) -> Path:
    with path.open("wb") as file:
        for at, data in content:
            file.seek(at)
            file.write(data)
        file.truncate(size)
    return path


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("tail", [b"", b"x"])
def test_a_longer_disk_is_the_same_if_the_rest_is_zeros(tmp_path: Path, tail: bytes, *, swapped: bool) -> None:
    one = raw(tmp_path / "one", (0, b"same"), size=2 * MIB)
    other = raw(tmp_path / "other", (0, b"same"), (3 * MIB + 700, tail), size=4 * MIB)
    pair = (other, one) if swapped else (one, other)
    found = disk.compare(str(pair[0]), str(pair[1]), left_format="raw", right_format="raw")
    assert not found.same_size
    assert found.same_content == (not tail) == ("identical" in qemu_says(*pair))
    assert found.offset == (3 * MIB + 512 if tail else None)
    if tail:
        assert f"offset {found.offset}!" in qemu_says(*pair)


def test_the_first_of_many_differences_is_told(tmp_path: Path) -> None:
    one = raw(tmp_path / "one", (0, b"a" * 8 * MIB), size=8 * MIB)
    other = raw(tmp_path / "other", (0, b"a" * 5 * MIB), (5 * MIB, b"b" * 3 * MIB), size=8 * MIB)
    assert disk.compare(str(one), str(other), left_format="raw", right_format="raw").offset == 5 * MIB
    assert f"offset {5 * MIB}!" in qemu_says(one, other)


def test_strict_sees_data_that_reads_as_zeros(tmp_path: Path) -> None:
    one = raw(tmp_path / "one", (MIB, bytes(MIB)), size=4 * MIB)
    other = raw(tmp_path / "other", size=4 * MIB)
    names = (str(one), str(other))
    assert disk.compare(*names, left_format="raw", right_format="raw").same_content
    strict = disk.compare(*names, left_format="raw", right_format="raw", strict=True)
    assert strict.status_offset == MIB
    assert "block status mismatch" in qemu_says(one, other, "-s")


def test_what_two_overlays_share_is_not_read(tmp_path: Path) -> None:
    raw(tmp_path / "base", (0, b"x" * 4 * MIB), size=1 << 40)
    for name in ("one", "other"):
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", tmp_path / name)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 9M 512", tmp_path / "other")
    found = disk.compare(str(tmp_path / "one"), str(tmp_path / "other"))
    assert found.offset == 9 * MIB


def test_progress_ends_with_the_disk_though_zeros_are_not_read(tmp_path: Path) -> None:
    one, other = (raw(tmp_path / name, (0, b"same"), size=64 * MIB) for name in ("one", "other"))
    events: list[Event] = []
    disk.compare(str(one), str(other), left_format="raw", right_format="raw", report=events.append)
    assert [event.done for event in events if isinstance(event, Advanced)][-1] == 64 * MIB
