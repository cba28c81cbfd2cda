"""A VMDK after SIGKILL or a power cut at any moment: leaks at worst, and nothing older than the last flush."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crash.test_vdi import SCRIPT, SECTOR, SIZE, Deed, History, deeds
from support.depth import deep
from support.images import read_by_qemu, run
from support.powercut import Diary
from virtkit import disk
from virtkit.disk.access import Access
from virtkit.disk.chain import Layer, open_image
from virtkit.disk.formats.vmdk import FORMAT
from virtkit.disk.formats.vmdk.layout import Header
from virtkit.disk.live import LiveChain
from virtkit.disk.mending import repair as mending

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File

GRAIN = 8  # sectors; small grains, so that every one is seen
GTES = 4  # entries of a table: ten tables
SECTORS = SIZE // SECTOR
TEXT = f"""# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicSparse"
RW {SECTORS} SPARSE "image.vmdk"
ddb.geometry.cylinders = "1"
ddb.geometry.heads = "16"
ddb.geometry.sectors = "63"
"""


BELOW = 200  # what every byte of the parent is


def blank(path: Path, *, zeroed: bool, delta: bool = False) -> Path:
    """An empty disk of small grains, on a parent or not; QEMU reads and checks it too."""
    text = TEXT
    if delta:
        base = path.with_name("base.vmdk")
        disk.create(str(base), SIZE, target_format="vmdk")
        with disk.open(str(base), "r+") as live:
            live.write(0, bytes([BELOW]) * SIZE)
        cid = next(line for line in base.read_bytes()[:4096].decode(errors="ignore").splitlines() if line[:4] == "CID=")
        text = text.replace("parentCID=ffffffff", f'parent{cid}\nparentFileNameHint="base.vmdk"')
    tables = SECTORS // GRAIN // GTES
    redundant = 21
    directory = redundant + 1 + tables
    header = Header(
        magic=b"KDMV",
        version=2 if zeroed else 1,
        flags=3 | (4 if zeroed else 0),
        capacity=SECTORS,
        grain_size=GRAIN,
        descriptor_offset=1,
        descriptor_size=20,
        gtes_per_gt=GTES,
        redundant_directory_offset=redundant,
        directory_offset=directory,
        data_offset=48,
        unclean_shutdown=0,
        check_bytes=b"\n \r\n",
        compression=0,
    )
    room = bytearray(48 * SECTOR)
    room[: Header.SIZE] = header.pack()
    room[SECTOR : SECTOR + len(text)] = text.encode()
    for at in (redundant, directory):
        for number in range(tables):
            room[at * SECTOR + 4 * number : at * SECTOR + 4 * number + 4] = (at + 1 + number).to_bytes(4, "little")
    path.write_bytes(room)
    return path


class VmdkHistory(History):
    def __init__(self, file: File) -> None:
        image = FORMAT.open(file, Access(writable=True))
        below = [open_image(str(Path(file.name).with_name("base.vmdk")))] if image.backing else []
        self.chain = LiveChain([Layer(image, "vmdk"), *below])
        self.steps = []
        self.flushed = []
        self.sectors = [BELOW if below else 0] * SECTORS


def assert_sound(path: Path, allowed: list[list[int]]) -> None:
    found = disk.check(str(path)).findings
    assert found.corruptions == 0, found.details
    with disk.open(str(path)) as chain:
        assert chain.size // SECTOR in {len(sectors) for sectors in allowed}
        data = chain.read(0, chain.size)
    for number in range(len(data) // SECTOR):
        sector = data[number * SECTOR : (number + 1) * SECTOR]
        assert sector.count(sector[0]) == SECTOR
        may_be = {0 if number >= len(sectors) else sectors[number] for sectors in allowed}
        grown = number >= min(map(len, allowed))  # a parent shows there until the new room was zeroed
        assert sector[0] in may_be | ({BELOW} if grown else set()), number
    with disk.open(str(path), "r+") as again:
        again.write(0, b"x")
        assert again.read(1, chain.size) == data[1:]
    assert disk.check(str(path)).findings.corruptions == 0


@settings(max_examples=deep(8), deadline=None)
@given(script=deeds(), zeroed=st.booleans(), delta=st.booleans(), data=st.data())
def test_a_power_cut_at_any_moment_leaves_a_sound_image(
    script: list[Deed], data: st.DataObject, *, zeroed: bool, delta: bool
) -> None:
    with TemporaryDirectory() as folder:
        diary = Diary.open(blank(Path(folder) / "image.vmdk", zeroed=zeroed, delta=delta), writable=True)
        history = VmdkHistory(diary)
        history.run(script, diary.changes)
        left = Path(folder) / "left.vmdk"
        chance = random.Random(data.draw(st.integers(0, 1 << 32)))
        for _ in range(12):
            cut = chance.randrange(len(diary.changes) + 1)
            diary.after_a_power_cut(left, cut, chance)
            assert_sound(left, history.may_be(cut))
        history.chain.close()


@pytest.fixture(params=["plain", "zeroed", "delta", "zeroed delta"])
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Diary, VmdkHistory]]:
    """Every kind of change that there is."""
    kind: str = request.param
    path = blank(tmp_path / "image.vmdk", zeroed="zeroed" in kind, delta="delta" in kind)
    diary = Diary.open(path, writable=True)
    history = VmdkHistory(diary)
    history.run(SCRIPT, diary.changes)
    assert len(diary.changes) > 100
    yield diary, history
    history.chain.close()


def test_killed_between_any_two_writes_it_is_sound(told: tuple[Diary, VmdkHistory], tmp_path: Path) -> None:
    diary, history = told
    for cut in range(len(diary.changes) + 1):
        diary.after_a_kill(tmp_path / "left.vmdk", cut)
        assert_sound(tmp_path / "left.vmdk", history.may_be(cut))


@pytest.mark.parametrize("seed", range(deep(2)))
def test_what_was_not_synced_may_be_lost_and_no_more(
    told: tuple[Diary, VmdkHistory], tmp_path: Path, seed: int
) -> None:
    diary, history = told
    chance = random.Random(seed)
    for cut in range(len(diary.changes) + 1):
        diary.after_a_power_cut(tmp_path / "left.vmdk", cut, chance)
        assert_sound(tmp_path / "left.vmdk", history.may_be(cut))


@pytest.mark.qemu
def test_what_is_left_is_sound_for_qemu_and_mended(told: tuple[Diary, VmdkHistory], tmp_path: Path) -> None:
    diary, _ = told
    left = tmp_path / "left.vmdk"
    for cut in range(0, len(diary.changes), 16):
        diary.after_a_kill(left, cut)
        assert "No errors" in run("qemu-img", "check", "-f", "vmdk", left)
        guest = read_by_qemu(left, "vmdk")
        done = mending.repair(str(left))
        assert done.after.corruptions == 0
        assert not disk.info(str(left)).data()["dirty-flag"]
        assert read_by_qemu(left, "vmdk") == guest
