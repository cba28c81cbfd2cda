from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.images import run
from virtkit import disk
from virtkit.disk import pieces
from virtkit.disk.copying import copy

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 64 << 10  # bytes
BLOCKS = 10  # every second one holds data


@pytest.fixture
def torn(tmp_path: Path) -> Path:
    path = tmp_path / "torn.raw"
    with path.open("wb") as made:
        for number in range(BLOCKS):
            made.seek(2 * number * BLOCK)
            made.write(bytes([number + 1]) * BLOCK)
    return path


@pytest.mark.parametrize("most", [BLOCKS - 1, BLOCKS])
def test_as_many_extents_as_may_be_are_remembered_and_all_are_copied(
    most: int, torn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy, "REMEMBERED", most)
    with disk.open(str(torn), source_format="raw") as source:
        amount = copy.measure(source)
        assert amount.found == (list(pieces.stored(source.extents())) if most == BLOCKS else None)
        assert amount.plain == BLOCKS * BLOCK
    disk.convert(str(torn), str(tmp_path / "new.qcow2"), source_format="raw")
    run("qemu-img", "compare", "-f", "raw", torn, tmp_path / "new.qcow2")


def test_fewer_are_where_something_is_decoded(torn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", torn, tmp_path / "coded.qcow2")
    monkeypatch.setattr(copy, "REMEMBERED_CODED", BLOCKS - 1)
    with disk.open(str(tmp_path / "coded.qcow2")) as source:
        amount = copy.measure(source)
    assert amount.found is None
    assert amount.coded == BLOCKS * BLOCK
