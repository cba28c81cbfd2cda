"""A VDI image after SIGKILL or a power cut at any moment: leaks at worst, and nothing older than the last flush."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.powercut import Diary
from virtkit import disk
from virtkit.core.progress import silent
from virtkit.disk.access import Access
from virtkit.disk.chain import Layer
from virtkit.disk.format import CompactImage
from virtkit.disk.formats.vdi import FORMAT
from virtkit.disk.formats.vdi.layout import ABOUT, DYNAMIC, FREE, NOBODY, VERSION, Header
from virtkit.disk.formats.vdi.signature import SIGNATURE
from virtkit.disk.live import LiveChain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.disk.file import File

BLOCK = 4096  # bytes; small blocks, so that every move of one is seen
SECTOR = 512
SIZE = 40 * BLOCK
ROOM = 64  # entries in front of the data: more of them move blocks


class Deed(NamedTuple):
    what: str
    at: int = 0  # sector
    length: int = 0  # sectors; of a resize: the whole disk's
    value: int = 0


def deeds() -> st.SearchStrategy[list[Deed]]:
    sectors = st.integers(0, 80 * BLOCK // SECTOR)
    deed = st.one_of(
        st.builds(
            Deed, st.sampled_from(["write", "zero", "discard"]), sectors, st.integers(1, 90), st.integers(1, 255)
        ),
        st.builds(Deed, st.just("resize"), length=st.integers(1, 80 * BLOCK // SECTOR)),
        st.builds(Deed, st.sampled_from(["flush", "compact"])),
    )
    return st.lists(deed, min_size=2, max_size=12)


def blank(path: Path) -> Path:
    header = Header(
        about=ABOUT,
        signature=SIGNATURE,
        version=VERSION,
        header_size=0x180,
        image_type=DYNAMIC,
        flags=0,
        comment=b"",
        map_offset=SECTOR,
        data_offset=SECTOR + 4 * ROOM,
        geometry=bytes(12),
        sector_size=SECTOR,
        unused=0,
        disk_size=SIZE,
        block_size=BLOCK,
        block_extra=0,
        blocks=SIZE // BLOCK,
        blocks_allocated=0,
        uuid=b"u" * 16,
        uuid_last_snapshot=b"m" * 16,
        uuid_link=NOBODY,
        uuid_parent=NOBODY,
    )
    path.write_bytes(header.pack().ljust(SECTOR, b"\0") + FREE.to_bytes(4, "little") * ROOM)
    return path


class History:
    """A disk that is changed, and what each of its sectors may hold once power is back."""

    def __init__(self, file: File) -> None:
        self.chain = LiveChain([Layer(FORMAT.open(file, Access(writable=True)), "vdi")])
        self.steps: list[tuple[int, list[int]]] = []  # after how many changes of the file, and the disk by sectors
        self.flushed: list[tuple[int, int]] = []  # after how many changes, and which step that was
        self.sectors = [0] * (SIZE // SECTOR)

    def run(self, script: list[Deed], changes: Sequence[object]) -> None:
        """``changes`` of the file grow meanwhile."""
        for deed in script:
            self.steps.append((len(changes), list(self.sectors)))
            self._do(deed)
            if deed.what in {"flush", "compact"}:
                self.flushed.append((len(changes), len(self.steps)))
        self.steps.append((len(changes), list(self.sectors)))

    def _do(self, deed: Deed) -> None:
        end = min(deed.at + deed.length, len(self.sectors))
        at, length = deed.at * SECTOR, (end - deed.at) * SECTOR
        if deed.what == "resize":
            self.chain.resize(deed.length * SECTOR)
            self.sectors = self.sectors[: deed.length] + [0] * (deed.length - len(self.sectors))
        elif deed.what == "flush":
            self.chain.flush()
        elif deed.what == "compact":
            assert isinstance(self.chain.top, CompactImage)
            self.chain.top.compact(silent)
            self.chain.flush()
        elif length > 0:
            value = deed.value if deed.what == "write" else 0
            if deed.what == "write":
                self.chain.write(at, bytes([value]) * length)
            elif deed.what == "zero":
                self.chain.zero(at, length)
            else:
                self.chain.discard(at, length)
            for sector in range(deed.at, end):
                if value or deed.what == "zero" or self.chain.read(sector * SECTOR, 1) == b"\0":
                    self.sectors[sector] = value

    def may_be(self, cut: int) -> list[list[int]]:
        """The disks from the last flush that had returned on, to the first one that had not begun."""
        first = max((step for changes, step in self.flushed if changes <= cut), default=0)
        last = next((index for index, (changes, _) in enumerate(self.steps) if changes >= cut), len(self.steps))
        return [sectors for _, sectors in self.steps[first : last + 1]]


def assert_sound(path: Path, allowed: list[list[int]]) -> None:
    assert disk.check(str(path)).findings.corruptions == 0, disk.check(str(path)).findings.details
    with disk.open(str(path)) as chain:
        assert chain.size // SECTOR in {len(sectors) for sectors in allowed}
        data = chain.read(0, chain.size)
    for number in range(len(data) // SECTOR):
        sector = data[number * SECTOR : (number + 1) * SECTOR]
        assert sector.count(sector[0]) == SECTOR
        assert sector[0] in {0 if number >= len(sectors) else sectors[number] for sectors in allowed}, number
    with disk.open(str(path), "r+") as again:
        again.write(0, b"x")
    assert disk.check(str(path)).findings[:2] == (0, 0)


@settings(max_examples=deep(30), deadline=None)
@given(script=deeds(), data=st.data())
def test_a_power_cut_at_any_moment_leaves_a_sound_image(script: list[Deed], data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        diary = Diary.open(blank(Path(folder) / "image.vdi"), writable=True)
        history = History(diary)
        history.run(script, diary.changes)
        left = Path(folder) / "left.vdi"
        chance = random.Random(data.draw(st.integers(0, 1 << 32)))
        for _ in range(12):
            cut = chance.randrange(len(diary.changes) + 1)
            diary.after_a_power_cut(left, cut, chance)
            assert_sound(left, history.may_be(cut))
        history.chain.close()


SCRIPT = [
    Deed("write", 3, 100, 1),
    Deed("flush"),
    Deed("write", 90, 150, 2),
    Deed("discard", 8, 64),
    Deed("flush"),
    Deed("discard", 120, 40),
    Deed("flush"),
    Deed("resize", length=70 * BLOCK // SECTOR),
    Deed("write", 500, 40, 3),
    Deed("zero", 96, 8),
    Deed("write", 240, 16, 0),
    Deed("compact"),
    Deed("write", 100, 80, 4),
    Deed("resize", length=150),
    Deed("resize", length=170),
    Deed("discard", 0, 80),
    Deed("write", 30, 90, 5),
    Deed("zero", 100, 8),
    Deed("write", 60, 50, 6),
    Deed("flush"),
]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[Diary, History]]:
    """Every kind of change that there is, blocks that move among them."""
    diary = Diary.open(blank(tmp_path / "image.vdi"), writable=True)
    history = History(diary)
    history.run(SCRIPT, diary.changes)
    assert len(diary.changes) > 100
    yield diary, history
    history.chain.close()


def test_killed_between_any_two_writes_it_is_sound(told: tuple[Diary, History], tmp_path: Path) -> None:
    diary, history = told
    for cut in range(len(diary.changes) + 1):
        diary.after_a_kill(tmp_path / "left.vdi", cut)
        assert_sound(tmp_path / "left.vdi", history.may_be(cut))


@pytest.mark.parametrize("seed", range(deep(12)))
def test_what_was_not_synced_may_be_lost_and_no_more(told: tuple[Diary, History], tmp_path: Path, seed: int) -> None:
    diary, history = told
    chance = random.Random(seed)
    for cut in range(len(diary.changes) + 1):
        diary.after_a_power_cut(tmp_path / "left.vdi", cut, chance)
        assert_sound(tmp_path / "left.vdi", history.may_be(cut))


def test_compacting_may_be_broken_off_at_any_event_and_goes_on(tmp_path: Path) -> None:
    seen = 0
    while True:
        path = blank(tmp_path / "image.vdi")
        with disk.open(str(path), "r+") as chain:
            for block in range(30):
                chain.write(block * BLOCK, bytes([block % 3]) * BLOCK)
        expected = b"".join(bytes([block % 3]) * BLOCK for block in range(30)).ljust(SIZE, b"\0")
        events: list[object] = []

        def stop(event: object, events: list[object] = events, most: int = seen) -> None:
            events.append(event)
            if len(events) > most:
                raise KeyboardInterrupt

        with disk.open(str(path), "r+") as chain:
            assert isinstance(chain.top, CompactImage)
            try:
                chain.top.compact(stop)
            except KeyboardInterrupt:
                assert chain.read(0, SIZE) == expected
                seen += 1
            else:
                break
        assert disk.check(str(path)).findings.corruptions == 0
        with disk.open(str(path), "r+") as chain:
            assert isinstance(chain.top, CompactImage)
            chain.top.compact(silent)
            assert chain.read(0, SIZE) == expected
        assert disk.check(str(path)).findings[:2] == (0, 0)
        assert Header.parse(path.read_bytes()).blocks_allocated == 20
    assert seen > 4


BUSY = """
import random, sys
from virtkit import disk
from virtkit.core.progress import silent
chance = random.Random(int(sys.argv[2]))
with disk.open(sys.argv[1], "r+") as chain:
    while True:
        block, count = chance.randrange(40), chance.randrange(1, 10)
        at = min(block + count, 40) * 4096 - block * 4096
        if chance.random() < 0.6:
            chain.write(block * 4096, bytes([block + 1]) * 4096)
        else:
            chain.discard(block * 4096, at)
        if chance.random() < 0.3:
            chain.flush()
        if chance.random() < 0.05:
            chain.top.compact(silent)
        print(end=".", flush=True)
"""


@pytest.mark.parametrize("seed", range(deep(4)))
def test_a_process_that_is_killed_leaves_a_sound_image(tmp_path: Path, seed: int) -> None:
    path = blank(tmp_path / "image.vdi")
    process = subprocess.Popen([sys.executable, "-c", BUSY, path, str(seed)], stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.read(100 + 37 * seed)
    process.kill()
    process.communicate()
    assert disk.check(str(path)).findings.corruptions == 0
    with disk.open(str(path), "r+") as chain:
        for block in range(40):
            assert chain.read(block * BLOCK, BLOCK) in {bytes(BLOCK), bytes([block + 1]) * BLOCK}
        chain.write(0, b"x")
    assert disk.check(str(path)).findings[:2] == (0, 0)
