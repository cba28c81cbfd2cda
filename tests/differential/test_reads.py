"""Whatever was done to an image by QEMU, we read what QEMU reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from differential.histories import KINDS, SIZE, Kind, make, overlay, reads, scripts, write
from support.images import read_by_qemu, run
from virtkit import disk

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_reads_as(image: Path, format_: str, guest: bytes, where: list[tuple[int, int]]) -> None:
    with disk.open(str(image), "r", format_) as opened:
        assert opened.size == len(guest)
        assert opened.read(0, opened.size) == guest
        for at, length in where:
            assert opened.read(at, length) == guest[at : at + length]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@SEVERAL
@given(data=st.data())
def test_reads_any_history_as_qemu_does(kind: Kind, data: st.DataObject, tmp_path: Path) -> None:
    image = make(tmp_path, kind, data.draw(scripts(kind)))
    assert_reads_as(image, kind.format, read_by_qemu(image, kind.format), data.draw(reads()))


@SEVERAL
@given(data=st.data(), sizes=st.tuples(st.integers(1, 2 * SIZE // 512), st.integers(1, 2 * SIZE // 512)))
def test_reads_a_chain_of_images_of_different_sizes(
    data: st.DataObject, sizes: tuple[int, int], tmp_path: Path
) -> None:
    kind = Kind("qcow2")
    layers = [make(tmp_path, kind, data.draw(scripts(kind)))]
    for number, sectors in enumerate(sizes):
        layers.append(overlay(tmp_path, f"overlay{number}.qcow2", layers[-1], max(sectors * 512, SIZE)))
        write(layers[-1], "qcow2", data.draw(scripts(kind)))
    run("qemu-img", "resize", "-q", "--shrink", layers[0], str(sizes[0] * 512 // 2 // 512 * 512 + 512))
    assert_reads_as(layers[-1], "qcow2", read_by_qemu(layers[-1], "qcow2"), data.draw(reads()))
