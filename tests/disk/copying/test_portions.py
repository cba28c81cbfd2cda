"""Large units are filled portion by portion; QEMU finds the same bytes there, in images whose blocks it cannot read."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.images import VDI_DATA, require_same_data, run
from support.images import disk as sample
from virtkit import disk
from virtkit.disk.copying.hands import GRANULE, put
from virtkit.disk.copying.portions import Portions
from virtkit.disk.file import File
from virtkit.disk.format import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from virtkit.disk.format import Buffer, Stretch

MIB = 1 << 20
PROGRAM = """
import sys
from virtkit import disk
source, target, kind, size = sys.argv[1:]
options = {"block_size": size, "static": "on"} if size else {}
disk.convert(source, target, source_format=kind, options=options, threads=16, verify=True)
with open("/proc/self/status") as status:  # ru_maxrss would be the peak of the process that started us, too
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def peak(source: Path, target: Path, kind: str, size: str = "") -> int:
    """Bytes that the conversion took, to a target with blocks of ``size`` that was read back."""
    words = [sys.executable, "-c", PROGRAM, str(source), str(target), kind, size]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) << 10


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """640 MiB and a sector, with something in each 128 MiB of it and holes around."""
    path = tmp_path / "source.raw"
    with path.open("wb") as file:
        for at in (5 * MIB + 512, 129 * MIB, 300 * MIB, 480 * MIB, 639 * MIB):
            file.seek(at)
            file.write(sample()[: 2 * MIB])
        file.truncate(640 * MIB + 512)
        file.seek(640 * MIB)
        file.write(b"the end")
    return path


@pytest.mark.qemu
@pytest.mark.parametrize("size", ["128M", "32M"])
def test_the_largest_units_take_no_more_memory_than_others_and_no_room_for_holes(
    size: str, source: Path, tmp_path: Path
) -> None:
    made, back = tmp_path / "made.vdi", tmp_path / "back.qcow2"
    assert peak(source, made, "raw", size) < 64 * MIB
    assert made.stat().st_blocks * 512 < 32 * MIB
    require_same_data(source, made, VDI_DATA, source.stat().st_size)
    assert disk.check(str(made)).findings[:2] == (0, 0)
    assert peak(made, back, "vdi") < 64 * MIB
    run("qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", source, back)


@pytest.mark.qemu
@pytest.mark.parametrize("how", [{"durable": True}, {"sparse": 0}, {"sparse": MIB}, {"size": 700 * MIB}])
def test_however_it_is_made_it_holds_the_same(how: dict[str, int], source: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.vdi"
    size = source.stat().st_size
    disk.convert(str(source), str(made), source_format="raw", options={"block_size": "128M"}, **how)  # type: ignore[arg-type]  # each is of its own kind
    require_same_data(source, made, VDI_DATA, max(size, how.get("size", 0)))
    assert (made.stat().st_blocks * 512 < size // 2) == ("sparse" not in how or how["sparse"] > 0)


@pytest.mark.qemu
def test_on_a_backing_image_a_unit_is_whole(tmp_path: Path) -> None:
    """Zeros over it too, whole units of them and parts; behind its end, and across it."""
    base, top, back = tmp_path / "base.vdi", tmp_path / "top.qcow2", tmp_path / "back.raw"
    (tmp_path / "base.raw").write_bytes(sample() * (36 * MIB // len(sample())))
    disk.convert(str(tmp_path / "base.raw"), str(base), source_format="raw", options={"block_size": "4M"})
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", tmp_path / "base.raw", "-F", "raw", top, "90M")
    writes = ("write -P 7 1M 64k", "write -z 6M 1M", "write -z 11M 14M", "write -P 8 34M 3M", "write -P 9 60M 512")
    run("qemu-io", *(word for one in writes for word in ("-c", one)), top)
    made = tmp_path / "made.vdi"
    options = {"block_size": "4M"}
    disk.convert(str(top), str(made), options=options, backing=str(base), backing_format="vdi", verify=True)
    disk.convert(str(made), str(back))
    run("qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", top, back)
    zeros = [(entry.start, entry.length) for entry in disk.map(str(made)) if entry.zero and entry.depth == 0]
    assert (12 * MIB, 12 * MIB) in zeros


class Backwards:
    """A writer into a file full of noise: units from its end to its front, two places each, as if encrypted."""

    def __init__(self, file: File, unit: int, size: int) -> None:
        self.unit, self.size = unit, size
        self.placed: dict[int, int] = {}
        self.blanks: list[Stretch] = []
        self._file = file

    def place(self, start: int, length: int) -> list[Place]:
        assert start % self.unit == 0
        assert length == min(self.unit, self.size - start)
        assert start not in self.placed
        half = length // 1024 * 512
        at = self.placed[start] = (self.size // self.unit - start // self.unit) * self.unit
        parts = [(at, half), (at + half, length - half)]
        return [Place(self._file, begin, long, sealed) for begin, long in parts if long]

    def blank(self, start: int, length: int) -> None:
        assert start % self.unit == 0
        self.blanks.append((start, start + length))

    def store(self, start: int, coded: Buffer) -> None:
        raise AssertionError

    def finish(self) -> None: ...


def sealed(_at: int, data: Buffer) -> bytes:
    return bytes(byte ^ 0x55 for byte in bytes(data))


@given(st.data())
def test_each_byte_gets_its_place_and_all_others_of_its_unit_are_zeros(data: st.DataObject) -> None:
    unit = data.draw(st.sampled_from([2, 4])) * GRANULE
    size = data.draw(st.integers(1, 12 * GRANULE // 512)) * 512
    edges = sorted(data.draw(st.sets(st.integers(0, size // GRANULE), max_size=6)))
    ends = [min(edge * GRANULE, size) for edge in edges] + [size]
    with temporary(bytes([0xAA]) * (size + unit)) as file:
        writer = Backwards(file, unit, size)
        portions, wanted = Portions(writer, size), bytearray(size)
        for start, end in pairwise(ends):
            what = data.draw(st.sampled_from(["place", "blank", "leave"])) if start < end else "leave"
            if what == "place":
                wanted[start:end] = bytes([len(edges)]) * (end - start)
                put(portions.place(start, end - start), memoryview(wanted)[start:end])
            elif what == "blank":
                portions.blank(start, end - start)
        for first, at in writer.placed.items():
            last = min(first + unit, size)
            assert sealed(0, file.read(at, last - first)) == wanted[first:last]
        for start in range(0, size, GRANULE):
            known = start // unit * unit in writer.placed or any(begin <= start < end for begin, end in writer.blanks)
            assert known or not any(wanted[start : start + GRANULE])


@contextmanager
def temporary(content: bytes) -> Iterator[File]:
    file = File(os.memfd_create("target"), "target")
    try:
        file.write(0, content)
        yield file
    finally:
        file.close()
