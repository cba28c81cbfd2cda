"""Check finds what is wrong with the tables of a VMDK, repair takes the copy that is right, compact closes the gaps."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.images import Specimen, read_by_qemu, run
from virtkit import disk
from virtkit.core.errors import ImageError, NotSupportedError
from virtkit.core.progress import Advanced, Finished, Started, silent
from virtkit.disk.format import CompactImage
from virtkit.disk.formats.vmdk import compaction
from virtkit.disk.formats.vmdk.census import Slots, gaps
from virtkit.disk.formats.vmdk.layout import Header
from virtkit.disk.mending import repair as mending

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.core.progress import Event
    from virtkit.disk.format import Findings

pytestmark = pytest.mark.qemu
KIB, MIB = 1 << 10, 1 << 20
GRAIN = 128  # sectors


class Subject:
    """A sparse image that QEMU wrote, to be damaged."""

    def __init__(self, folder: Path) -> None:
        self.path, self.guest = Specimen("vmdk").make(folder)
        self.header = Header.parse(self.path.read_bytes())

    def directory(self, *, redundant: bool = False) -> int:
        """Bytes."""
        return (self.header.redundant_directory_offset if redundant else self.header.directory_offset) * 512

    def table(self, *, redundant: bool = False) -> int:
        return self.word(self.directory(redundant=redundant)) * 512

    def word(self, at: int) -> int:
        found: int = struct.unpack_from("<I", self.path.read_bytes(), at)[0]
        return found

    def put(self, at: int, *words: int) -> None:
        with self.path.open("r+b") as file:
            file.seek(at)
            file.write(struct.pack(f"<{len(words)}I", *words))

    def check(self) -> Findings:
        return disk.check(str(self.path)).findings


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    return Subject(tmp_path)


def first_used(subject: Subject) -> int:
    """Where the first entry that names a grain stands, in bytes."""
    return next(at for at in range(subject.table(), subject.table() + 2048, 4) if subject.word(at) > 1)


@pytest.mark.parametrize("options", ["", "subformat=streamOptimized", "subformat=twoGbMaxExtentSparse"])
def test_what_qemu_wrote_is_sound(options: str, tmp_path: Path) -> None:
    path, guest = Specimen("vmdk", f"-o {options}" if options else "").make(tmp_path)
    found = disk.check(str(path)).findings
    assert (found.corruptions, found.leaks, found.details) == (0, 0, ())
    assert found.total_clusters == -(-len(guest) // (64 * KIB))
    grains = [guest[at : at + 64 * KIB] for at in range(0, len(guest), 64 * KIB)]
    assert found.allocated_clusters == sum(any(grain) for grain in grains)
    assert (found.compressed_clusters == found.allocated_clusters) == ("stream" in options)


def test_a_grain_behind_the_end_is_found_and_taken_from_the_redundant_table(subject: Subject) -> None:
    subject.put(first_used(subject), 0x0FFFFFF0)
    found = subject.check()
    assert found.corruptions == 1
    assert "1 entries of grain table 0 lie behind the file's end" in found.details[0]
    changed = mending.repair(str(subject.path))
    assert changed.changes == ("1 entries of grain table 0 are those of the other copy now",)
    assert (changed.after.corruptions, changed.after.leaks) == (0, 0)
    assert read_by_qemu(subject.path, "vmdk") == subject.guest
    assert changed.undo is not None
    mending.take_back(str(subject.path), changed.undo)
    assert subject.check().corruptions == 1


def test_a_grain_that_no_copy_knows_is_left_and_told(subject: Subject) -> None:
    offset = first_used(subject) - subject.table()
    subject.put(subject.table() + offset, 0x0FFFFFF0)
    subject.put(subject.table(redundant=True) + offset, 0x0FFFFFF0)
    assert "1 grains from sector 268435440 on, of grain table 0, lie behind" in subject.check().details[0]
    assert mending.repair(str(subject.path)).after.corruptions == 1
    with disk.open(str(subject.path)) as chain, pytest.raises(ImageError, match="grain is at sector 268435440"):
        chain.read(0, chain.size)


def test_two_entries_that_name_one_grain_are_found(subject: Subject) -> None:
    at = first_used(subject)
    for redundant in (False, True):
        table = subject.table(redundant=redundant) + at - subject.table()
        subject.put(table + 4, subject.word(at))
    found = subject.check()
    assert any("grains from sector" in detail and "used twice" in detail for detail in found.details)


def test_copies_that_differ_are_made_alike(subject: Subject) -> None:
    subject.put(subject.table(redundant=True) + first_used(subject) - subject.table(), 0)
    assert subject.check().details[0].endswith("redundant grain table 0 differs in 1 entries")
    assert mending.repair(str(subject.path)).after[:2] == (0, 0)
    assert subject.check()[:2] == (0, 0)
    assert read_by_qemu(subject.path, "vmdk") == subject.guest


@pytest.mark.parametrize("redundant", [False, True])
def test_a_table_that_lies_outside_is_made_anew_from_the_other(subject: Subject, redundant: bool) -> None:  # noqa: FBT001  a parameter
    subject.put(subject.directory(redundant=redundant), 0x0FFFFFF0)
    assert subject.check().corruptions == 1
    plan = mending.rehearse_repair(str(subject.path))
    done = mending.repair(str(subject.path))
    assert plan.changes == done.changes != ()
    assert plan.after == done.after == subject.check()
    assert done.after[:2] == (0, 0)
    assert "No errors" in run("qemu-img", "check", subject.path)
    assert read_by_qemu(subject.path, "vmdk") == subject.guest


@pytest.mark.parametrize("field", ["directory_offset", "redundant_directory_offset"])
def test_a_directory_that_lies_outside_is_given_up(subject: Subject, field: str) -> None:
    subject.put(Header.offset_of(field), 0x0FFFFFF0, 0)
    assert subject.check().corruptions > 0
    assert mending.repair(str(subject.path)).after[:2] == (0, 0)
    assert read_by_qemu(subject.path, "vmdk") == subject.guest
    with disk.open(str(subject.path), "r+") as live:
        live.write(0, b"again")
    assert read_by_qemu(subject.path, "vmdk") == b"again" + subject.guest[5:]


def test_a_tail_that_is_nobodys_is_a_leak_and_cut_off(subject: Subject) -> None:
    size = subject.path.stat().st_size
    with subject.path.open("ab") as file:
        file.write(b"x" * 200 * KIB)
    assert subject.check()[:2] == (0, 4)
    assert mending.repair(str(subject.path), leaks_only=True).after[:2] == (0, 0)
    assert subject.path.stat().st_size == size
    assert read_by_qemu(subject.path, "vmdk") == subject.guest


def test_a_file_that_was_not_closed_is_dirty_until_it_is_repaired(subject: Subject) -> None:
    with subject.path.open("r+b") as file:
        file.seek(Header.offset_of("unclean_shutdown"))
        file.write(b"\1")
    subject.put(subject.table(redundant=True) + first_used(subject) - subject.table(), 0)
    assert disk.info(str(subject.path)).data()["dirty-flag"] is True
    assert subject.check()[:2] == (0, 1)
    assert mending.repair(str(subject.path), leaks_only=True).after[:2] == (0, 0)
    assert disk.info(str(subject.path)).data()["dirty-flag"] is False
    assert mending.rehearse_repair(str(subject.path)).stretches == ()


@pytest.mark.parametrize("kind", ["streamOptimized", "monolithicFlat", "twoGbMaxExtentSparse"])
def test_only_one_sparse_file_is_repaired(kind: str, tmp_path: Path) -> None:
    path, _ = Specimen("vmdk", f"-o subformat={kind}").make(tmp_path)
    with pytest.raises(NotSupportedError, match="only a monolithicSparse disk is repaired"):
        mending.rehearse_repair(str(path))


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 600))), st.tuples(st.integers(0, 900), st.integers(0, 1500))
)
def test_slots_are_a_set(spans: list[tuple[int, int]], window: tuple[int, int]) -> None:
    slots, model = Slots(), set[int]()
    for first, count in spans:
        wanted = set(range(first, first + count))
        assert slots.add(first, first + count) == len(model & wanted)
        model |= wanted
    assert len(slots) == len(model)
    assert {at for first, last in slots.runs() for at in range(first, last)} == model
    free = [at for first, last in gaps(slots.runs(), window[0], sum(window)) for at in range(first, last)]
    assert free == [at for at in range(window[0], sum(window)) if at not in model]


def compact(path: Path) -> list[Event]:
    told: list[Event] = []
    with disk.open(str(path), "r+", "vmdk") as live:
        assert isinstance(live.top, CompactImage)
        live.top.compact(told.append)
    return told


@pytest.mark.parametrize("kind", ["monolithicSparse", "twoGbMaxExtentSparse"])
def test_a_file_is_as_short_as_what_it_holds(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "c.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", "-o", f"subformat={kind}", path, "100M")
    numbers = list(range(1, 101, 2))
    for number in reversed(numbers):
        run("qemu-io", "-f", "vmdk", "-c", f"write -P {number} {number}M 256k", path)
    with disk.open(str(path), "r+", "vmdk") as live:
        for number in numbers[1::2]:
            live.discard(number * MIB, MIB)
    guest = read_by_qemu(path, "vmdk")
    file = path if kind == "monolithicSparse" else tmp_path / "c-s001.vmdk"
    told = compact(path)
    first = Header.parse(file.read_bytes()).data_offset * 512
    assert file.stat().st_size == first + 25 * 256 * KIB
    assert read_by_qemu(path, "vmdk") == guest
    assert disk.check(str(path)).findings[:2] == (0, 0)
    assert isinstance(told[0], Started)
    assert isinstance(told[-1], Finished)
    assert [event.done for event in told if isinstance(event, Advanced)] == [told[0].total]
    compact(path)
    assert file.stat().st_size == first + 25 * 256 * KIB


def test_tables_behind_the_data_stay_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "c.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", path, "8M")
    run("qemu-io", "-f", "vmdk", "-c", "write -P 3 0 4M", path)
    with disk.open(str(path), "r+", "vmdk") as live:
        live.resize(200 * MIB)
        live.write(150 * MIB, b"\4" * MIB)
        live.discard(0, 3 * MIB)
    guest = read_by_qemu(path, "vmdk")
    compact(path)
    assert read_by_qemu(path, "vmdk") == guest
    assert disk.check(str(path)).findings[:2] == (0, 0)
    assert "No errors" in run("qemu-img", "check", path)


def test_compaction_that_is_broken_off_leaves_a_sound_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "BATCH", MIB)
    path = tmp_path / "c.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", path, "300M")
    run("qemu-io", "-f", "vmdk", "-c", "write -P 3 0 4M", "-c", "write -P 4 200M 4M", path)
    with disk.open(str(path), "r+", "vmdk") as live:
        live.discard(0, 4 * MIB)

    def stop(event: Event) -> None:
        if isinstance(event, Advanced):
            raise KeyboardInterrupt

    with disk.open(str(path), "r+", "vmdk") as live:
        assert isinstance(live.top, CompactImage)
        with pytest.raises(KeyboardInterrupt):
            live.top.compact(stop)
        assert live.read(200 * MIB, 4 * MIB) == b"\4" * 4 * MIB
    assert disk.check(str(path)).findings.corruptions == 0
    compact(path)
    assert path.stat().st_size == Header.parse(path.read_bytes()).data_offset * 512 + 4 * MIB
    with disk.open(str(path)) as chain:
        assert chain.read(200 * MIB, 4 * MIB) == b"\4" * 4 * MIB


def test_an_image_that_is_not_sound_is_not_compacted(subject: Subject) -> None:
    at = first_used(subject)
    subject.put(at + 4, subject.word(at))
    before = subject.path.read_bytes()
    with disk.open(str(subject.path), "r+", "vmdk") as live:
        assert isinstance(live.top, CompactImage)
        with pytest.raises(ImageError, match="grain table 0 is not sound"):
            live.top.compact(silent)
    assert subject.path.read_bytes() == before
