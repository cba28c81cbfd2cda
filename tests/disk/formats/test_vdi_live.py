"""VDI images written in place: whatever is done, QEMU reads what a plain file would hold and finds nothing wrong."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import MIB, run
from virtkit import disk
from virtkit.core.progress import silent
from virtkit.disk.format import CompactImage
from virtkit.disk.formats.vdi.layout import STATIC, Header

if TYPE_CHECKING:
    from virtkit.disk.live import LiveChain

pytestmark = pytest.mark.qemu

SECTOR = 512
MOST = 12 * MIB  # bytes


class Deed(NamedTuple):
    what: str
    at: int = 0
    length: int = 0
    value: int = 0


def deeds() -> st.SearchStrategy[list[Deed]]:
    places = st.integers(0, MOST - 1)
    lengths = st.one_of(st.integers(1, 4096), st.integers(1, 4 * MIB), st.just(MIB), st.just(2 * MIB))
    deed = st.one_of(
        st.builds(Deed, st.sampled_from(["write", "write", "zero", "discard"]), places, lengths, st.integers(1, 255)),
        st.builds(Deed, st.just("resize"), length=st.integers(1, MOST // SECTOR)),
        st.builds(Deed, st.sampled_from(["flush", "reopen", "compact"])),
    )
    return st.lists(deed, min_size=1, max_size=14)


class Pair:
    """An image, and the bytes that a guest must see."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.model = bytearray(size)
        self.chain: LiveChain = disk.open(str(path), "r+")

    def do(self, deed: Deed) -> None:
        end = min(deed.at + deed.length, len(self.model))
        match deed.what:
            case "write" | "zero" | "discard" if deed.at < end:
                self._change(deed, end - deed.at)
            case "resize":
                size = deed.length * SECTOR
                self.chain.resize(size)
                self.model = self.model[:size] + bytes(max(size - len(self.model), 0))
            case "flush":
                self.chain.flush()
            case "compact":
                self._compact()
            case "reopen":
                self.chain.close()
                self.chain = disk.open(str(self.path), "r+")

    def _change(self, deed: Deed, length: int) -> None:
        if deed.what == "write":
            data = bytes([deed.value]) * length
            self.chain.write(deed.at, data)
            self.model[deed.at : deed.at + length] = data
        elif deed.what == "zero":
            self.chain.zero(deed.at, length)
            self.model[deed.at : deed.at + length] = bytes(length)
        else:
            self.chain.discard(deed.at, length)
            end = deed.at + length
            first, last = -(-deed.at // MIB) * MIB, end if end == len(self.model) else end // MIB * MIB
            self.model[first:last] = bytes(max(last - first, 0))  # whole blocks; the rest is as before

    def _compact(self) -> None:
        assert isinstance(self.chain.top, CompactImage)
        if header_of(self.path).image_type != STATIC:
            self.chain.top.compact(silent)


def header_of(path: Path) -> Header:
    with path.open("rb") as file:
        return Header.parse(file.read(Header.SIZE))


def create(path: Path, size: int, options: str = "") -> Path:
    run("qemu-img", "create", "-q", "-f", "vdi", *(["-o", options] if options else []), path, str(size))
    return path


def assert_whole(path: Path, guest: bytes | bytearray) -> None:
    """QEMU finds nothing wrong and reads the same; the file holds nothing that the map does not name."""
    run("qemu-img", "check", "-q", path)
    expected = path.with_name("expected.raw")
    expected.write_bytes(guest)
    run("qemu-img", "compare", "-q", "-f", "vdi", "-F", "raw", path, expected)
    assert disk.check(str(path)).findings[:2] == (0, 0)
    header = header_of(path)
    assert path.stat().st_size == header.start_of(header.blocks_allocated)


@pytest.mark.parametrize("options", ["", "static=on"])
@settings(max_examples=deep(25), deadline=None)
@given(script=deeds(), sectors=st.integers(1, MOST // SECTOR))
def test_whatever_is_done_qemu_reads_the_same(options: str, script: list[Deed], sectors: int) -> None:
    with TemporaryDirectory() as folder:
        path = create(Path(folder) / "image.vdi", sectors * SECTOR, options)
        pair = Pair(path, sectors * SECTOR)
        for deed in script:
            pair.do(deed)
        assert pair.chain.read(0, len(pair.model)) == pair.model
        pair.chain.close()
        assert_whole(path, pair.model)


@pytest.mark.parametrize("steps", [(300 * MIB,), (129 * MIB, 200 * MIB, 9 << 30, 600 << 30)])
@pytest.mark.parametrize("blocks", [0, 1, 3, 100])
def test_a_map_without_room_moves_and_the_disk_stays(tmp_path: Path, blocks: int, steps: tuple[int, ...]) -> None:
    """QEMU puts the data right behind a map of 128 entries."""
    path, model = create(tmp_path / "image.vdi", 100 * MIB), tmp_path / "model.raw"
    model.write_bytes(b"")
    with disk.open(str(path), "r+") as chain:
        for block in range(blocks):
            chain.write(block * MIB + 7, b"%d" % block)
    for size in steps:
        with disk.open(str(path), "r+") as chain:
            chain.resize(size)
            chain.write(size - 3, b"end")
        with model.open("r+b") as file:
            file.truncate(size)
            for block in range(blocks):
                file.seek(block * MIB + 7)
                file.write(b"%d" % block)
            file.seek(size - 3)
            file.write(b"end")
        run("qemu-img", "check", "-q", path)
        run("qemu-img", "compare", "-q", "-f", "vdi", "-F", "raw", path, model)
        assert disk.check(str(path)).findings[:2] == (0, 0)
