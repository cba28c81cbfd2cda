from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from virtkit.core.errors import SystemCallError
from virtkit.disk.file import File

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 64 << 10  # bytes; no file system has larger ones by default
SEVERAL = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SEVERAL
@given(blocks=st.lists(st.booleans(), max_size=12), start=st.integers(0, 12 * BLOCK), length=st.integers(0, 12 * BLOCK))
def test_data_is_told_and_holes_are_left_out(blocks: list[bool], start: int, length: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as made:
        for number, written in enumerate(blocks):
            if written:
                made.seek(number * BLOCK)
                made.write(b"x" * BLOCK)
        made.truncate(len(blocks) * BLOCK)
    end = min(start + length, len(blocks) * BLOCK)
    file = File.open(path)
    told = [at for begin, stop in file.data(start, end) for at in range(begin, stop)]
    file.close()
    assert told == [at for at in range(start, end) if blocks[at // BLOCK]]


def test_reads_less_only_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    file = File.open(tmp_path / "file")
    room = bytearray(b"-" * 8)
    assert file.read(4, 100) == b"456789"
    assert file.read_into(6, memoryview(room)) == 4
    assert bytes(room) == b"6789----"
    assert file.read_into(10, memoryview(room)) == 0
    file.close()


def test_two_names_of_one_file_are_one_identity(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "other").write_bytes(b"")
    (tmp_path / "link").symlink_to("file")
    file, link, other = (File.open(tmp_path / name) for name in ("file", "link", "other"))
    assert file.identity == link.identity != other.identity
    for opened in (file, link, other):
        opened.close()


def test_a_refused_write_names_the_file_and_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    file = File.open(tmp_path / "file")
    with pytest.raises(SystemCallError, match="file: write at 0x10"):
        file.write(16, b"x")
    file.close()
