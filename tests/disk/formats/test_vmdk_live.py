"""Writing a VMDK in place: whatever is done to it, QEMU finds it sound and reads what a plain array of bytes holds."""

from __future__ import annotations

import json
import lzma
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import read_by_qemu, run
from virtkit import disk
from virtkit.core.errors import ImageError, NotSupportedError, UsageError
from virtkit.core.progress import silent
from virtkit.disk.access import Access
from virtkit.disk.format import CompactImage, Kind
from virtkit.disk.formats.vmdk.layout import Header
from virtkit.disk.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.disk.live import LiveChain

pytestmark = pytest.mark.qemu
MIB = 1 << 20
SIZE = 3 * MIB + 5 * 512
SECTORS = SIZE // 512
SEVERAL = settings(
    max_examples=deep(12),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
KINDS = (
    "subformat=monolithicSparse",
    "subformat=monolithicSparse,zeroed_grain=on",
    "subformat=monolithicFlat",
    "subformat=twoGbMaxExtentSparse",
    "subformat=twoGbMaxExtentFlat",
    "backing",
    "backing,zeroed_grain=on",
)


class Step(NamedTuple):
    verb: str
    at: int = 0
    length: int = 0
    byte: int = 0


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    verbs = st.sampled_from(["write"] * 4 + ["zero", "zero", "discard", "flush", "reopen", "resize", "compact"])
    return [
        Step(
            draw(verbs),
            draw(st.integers(0, SIZE - 1)),
            draw(st.one_of(st.integers(1, 2000), st.integers(1, SIZE))),
            draw(st.integers(1, 255)),
        )
        for _ in range(draw(st.integers(1, 14)))
    ]


def make(folder: Path, kind: str) -> Path:
    """An image with something in it."""
    path = folder / "image.vmdk"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    below = kind.startswith("backing")
    options = kind.removeprefix("backing").strip(",")
    base = folder / "base.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", base, str(SIZE))
    run("qemu-io", "-f", "vmdk", "-c", "write -P 77 200k 1500k", "-c", "write -P 78 3000k 70k", base)
    more = ("-b", "base.vmdk", "-F", "vmdk") if below else ()
    chosen = ("-o", options) if options else ()
    run("qemu-img", "create", "-q", "-f", "vmdk", *more, *chosen, path, *([] if below else [str(SIZE)]))
    run("qemu-io", "-f", "vmdk", "-c", "write -P 1 100k 300k", path)
    return path


class Model:
    """The image, opened for writing, and what it should hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = bytearray(read_by_qemu(path, "vmdk"))
        self.live: LiveChain = disk.open(str(path), "r+", "vmdk")

    def do(self, step: Step) -> None:
        getattr(self, step.verb)(step)
        assert self.live.size == len(self.bytes)

    def write(self, step: Step) -> None:
        at, end = self._range(step)
        self.bytes[at:end] = bytes([step.byte]) * (end - at)
        self.live.write(at, bytes([step.byte]) * (end - at))

    def zero(self, step: Step) -> None:
        at, end = self._range(step)
        self.bytes[at:end] = bytes(end - at)
        self.live.zero(at, end - at)

    def discard(self, step: Step) -> None:
        """Each unit reads as before or as zeros; nothing else changes."""
        at, end = self._range(step)
        self.live.discard(at, end - at)
        found = self.live.read(at, end - at)
        assert all(new in {0, old} for new, old in zip(found, self.bytes[at:end], strict=True))
        self.bytes[at:end] = found

    def flush(self, step: Step) -> None:
        self.live.flush()

    def reopen(self, step: Step) -> None:
        self.live.close()
        self.check()
        self.live = disk.open(str(self.path), "r+", "vmdk")

    def resize(self, step: Step) -> None:
        size = (step.length // 512 + 1) * 512 if step.byte % 2 else len(self.bytes) + step.at // 512 * 512
        self.bytes = self.bytes[:size].ljust(size, b"\0")
        self.live.resize(size)

    def compact(self, step: Step) -> None:
        top = self.live.top
        if isinstance(top, CompactImage) and "Flat" not in str(top.facts.specific):
            top.compact(silent)

    def _range(self, step: Step) -> tuple[int, int]:
        at = step.at % len(self.bytes)
        return at, min(at + step.length, len(self.bytes))

    def check(self) -> None:
        assert "No errors were found" in run("qemu-img", "check", "-f", "vmdk", self.path)
        found = disk.check(str(self.path)).findings
        assert (found.corruptions, found.leaks, found.details) == (0, 0, ())
        assert read_by_qemu(self.path, "vmdk") == bytes(self.bytes)
        assert not disk.info(str(self.path)).data()["dirty-flag"]


@pytest.mark.parametrize("kind", KINDS)
@SEVERAL
@given(script=steps())
def test_qemu_reads_what_was_written(kind: str, script: list[Step], tmp_path: Path) -> None:
    model = Model(make(tmp_path / "d", kind))
    for step in script:
        model.do(step)
        assert model.live.read(0, model.live.size) == bytes(model.bytes)
    model.live.close()
    model.check()


def edit(path: Path, change: Callable[[LiveChain], None]) -> None:
    with disk.open(str(path), "r+", "vmdk") as live:
        change(live)


def cid(path: Path) -> int:
    found = json.loads(run("qemu-img", "info", "-U", "--output", "json", path))["format-specific"]["data"]["cid"]
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_content_id_changes_with_the_first_write_and_once(kind: str, tmp_path: Path) -> None:
    path = make(tmp_path / "d", kind)
    before = cid(path)
    edit(path, lambda live: live.flush())
    assert cid(path) == before
    with disk.open(str(path), "r+", "vmdk") as live:
        live.write(0, b"a")
        first = cid(path)
        live.write(MIB, b"b")
        assert cid(path) == first != before


def test_the_long_content_id_goes_with_the_short_one(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=monolithicFlat")
    text = path.read_text().rstrip("\0")  # QEMU fills the file up to 10 KiB
    path.write_text(f'{text}ddb.longContentID = "{"a" * 24}{cid(path):08x}"\n')
    edit(path, lambda live: live.write(0, b"a"))
    assert f'ddb.longContentID = "{"a" * 24}{cid(path):08x}"\n' in path.read_text()


def test_a_parent_of_virtualbox_that_is_written_is_no_longer_the_parent(tmp_path: Path) -> None:
    for file in ("base", "middle", "top"):
        packed = Path(__file__).parents[2] / "data" / "golden" / "virtualbox-vmdk-differencing" / f"{file}.vmdk.xz"
        (tmp_path / f"{file}.vmdk").write_bytes(lzma.decompress(packed.read_bytes()))
    with disk.open(str(tmp_path / "top.vmdk")) as chain:
        assert [Path(layer.image.file.name).name for layer in chain.layers] == ["top.vmdk", "middle.vmdk", "base.vmdk"]
    edit(tmp_path / "base.vmdk", lambda live: live.write(0, b"a"))
    with pytest.raises(ImageError, match="base.vmdk was changed .* its modification UUID is [0-9a-f-]{36}, expected"):
        disk.open(str(tmp_path / "top.vmdk"))


def test_a_parent_that_is_written_is_no_longer_the_parent(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "backing")
    edit(path.with_name("base.vmdk"), lambda live: live.write(0, b"a"))
    with pytest.raises(ImageError, match="was changed after this image was made on it"):
        disk.open(str(path))


def test_a_file_is_marked_while_it_is_open_for_writing(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=monolithicSparse")
    at = Header.offset_of("unclean_shutdown")
    with disk.open(str(path), "r+", "vmdk") as live:
        assert path.read_bytes()[at] == 0
        live.write(0, b"a")
        live.flush()
        assert path.read_bytes()[at] == 1
    assert path.read_bytes()[at] == 0


def test_both_copies_of_the_tables_are_kept_alike(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=monolithicSparse")
    edit(path, lambda live: live.write(2 * MIB, b"x" * MIB))
    data = path.read_bytes()
    header = Header.parse(data)
    size = (header.tables * 4 + 511) // 512 * 512 + header.tables * 2048
    copies = [data[at * 512 : at * 512 + size] for at in (header.redundant_directory_offset, header.directory_offset)]
    assert copies[0][512:] == copies[1][512:]
    assert any(copies[0][512:])


def test_discarded_room_is_given_back_and_used_again(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=monolithicSparse")
    with disk.open(str(path), "r+", "vmdk") as live:
        live.write(0, b"x" * 2 * MIB)
        live.flush()
        size, taken = path.stat().st_size, path.stat().st_blocks
        live.discard(0, 2 * MIB)
        live.flush()
        assert path.stat().st_blocks < taken - MIB // 512
        live.write(MIB, b"y" * 2 * MIB)
        assert path.stat().st_size <= size


@pytest.mark.parametrize("flag", ["off", "on"])
def test_zeros_over_a_parent_take_little_room(flag: str, tmp_path: Path) -> None:
    path = make(tmp_path / "d", f"backing,zeroed_grain={flag}")
    edit(path, lambda live: live.zero(0, SIZE))
    assert read_by_qemu(path, "vmdk") == bytes(SIZE)
    assert path.stat().st_blocks * 512 < MIB


def test_what_cannot_be_marked_as_zeros_keeps_showing_the_parent_when_it_is_discarded(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "backing")
    edit(path, lambda live: live.discard(0, SIZE))
    guest = read_by_qemu(path, "vmdk")
    assert guest[MIB] == 77
    assert guest[256 << 10] == 0  # that was written here


def test_units_that_are_forgotten_show_the_parent_again(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "backing,zeroed_grain=on")
    with disk.open(str(path), "r+", "vmdk") as live:
        live.zero(0, SIZE)
        live.top.forget(0, SIZE)
    assert read_by_qemu(path, "vmdk") == read_by_qemu(path.with_name("base.vmdk"), "vmdk")


@pytest.mark.parametrize("kind", ["subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentFlat"])
def test_a_split_disk_grows_by_files_and_loses_them_again(kind: str, tmp_path: Path) -> None:
    path = make(tmp_path / "d", kind)
    letter = "s" if kind.endswith("Sparse") else "f"
    names = [f"image-{letter}00{number}.vmdk" for number in (1, 2, 3)]
    with disk.open(str(path), "r+", "vmdk") as live:
        live.resize(5 << 30)
        live.write(3 << 30, b"far away")
    assert [name.name for name in sorted(path.parent.glob("image-*"))] == names
    info = json.loads(run("qemu-img", "info", "--output", "json", path))
    assert [extent["virtual-size"] for extent in info["format-specific"]["data"]["extents"]] == [
        2146435072, 2146435072, (5 << 30) - 2 * 2146435072
    ]  # fmt: skip
    assert "8/8" in run("qemu-io", "-f", "vmdk", "-c", f"read -v {3 << 30} 8", path)
    edit(path, lambda live: live.resize(SIZE))
    assert [name.name for name in sorted(path.parent.glob("image-*"))] == names[:1]
    assert len(read_by_qemu(path, "vmdk")) == SIZE


def test_a_file_in_the_way_of_another_part_is_not_overwritten(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=twoGbMaxExtentSparse")
    other = path.with_name("image-s002.vmdk")
    other.write_bytes(b"precious")
    before = read_by_qemu(path, "vmdk")
    with disk.open(str(path), "r+", "vmdk") as live, pytest.raises(UsageError, match="image-s002.vmdk: exists already"):
        live.resize(3 << 30)
    assert other.read_bytes() == b"precious"
    with disk.open(str(path)) as chain:
        assert chain.read(0, SIZE) == before


def test_a_sparse_disk_grows_to_terabytes_and_qemu_writes_on(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=monolithicSparse")
    before = read_by_qemu(path, "vmdk")
    edit(path, lambda live: live.resize(3 << 40))
    run("qemu-io", "-f", "vmdk", "-c", f"write -P 9 {(3 << 40) - 65536} 64k", "-c", "write -P 8 0 512", path)
    with disk.open(str(path)) as chain:
        assert chain.read(0, SIZE) == b"\x08" * 512 + before[512:]
        assert chain.read((3 << 40) - 65536, 65536) == b"\x09" * 65536
    assert "No errors" in run("qemu-img", "check", path)
    assert path.stat().st_blocks * 512 < 4 * MIB
    assert f"RW {(3 << 40) // 512} SPARSE" in path.read_bytes()[:4096].decode(errors="replace")


def test_what_a_cut_disk_held_does_not_come_back(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=monolithicSparse")
    with disk.open(str(path), "r+", "vmdk") as live:
        live.write(0, b"x" * SIZE)
        live.resize(MIB + 512)
        live.resize(SIZE)
    assert read_by_qemu(path, "vmdk") == b"x" * (MIB + 512) + bytes(SIZE - MIB - 512)


def test_another_parent_is_named_with_its_content_id(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "backing")
    shutil.copy(path.with_name("base.vmdk"), path.with_name("other.vmdk"))
    run("qemu-io", "-f", "vmdk", "-c", "write -P 5 2M 64k", path.with_name("other.vmdk"))
    with disk.open(str(path), "r+", "vmdk") as live, disk.open(str(path.with_name("other.vmdk"))) as other:
        live.top.set_backing(Reference("other.vmdk", "vmdk"), other.layers[0].image)
    assert read_by_qemu(path, "vmdk")[2 * MIB] == 5
    with disk.open(str(path), "r+", "vmdk") as live:
        live.top.set_backing(None, None)
    assert "backing-filename" not in json.loads(run("qemu-img", "info", "--output", "json", path))
    assert read_by_qemu(path, "vmdk")[2 * MIB] == 0


def test_a_table_that_is_not_there_yet_is_made(tmp_path: Path) -> None:
    """Other programs leave entries of the directory empty; QEMU cannot write there."""
    path = make(tmp_path / "d", "subformat=monolithicSparse")
    run("qemu-img", "create", "-q", "-f", "vmdk", path, "100M")
    header = Header.parse(path.read_bytes())
    with path.open("r+b") as file:
        for at in (header.directory_offset, header.redundant_directory_offset):
            file.seek(at * 512 + 4)
            file.write(bytes(4))
    edit(path, lambda live: live.write(40 * MIB, b"here"))
    assert read_by_qemu(path, "vmdk")[40 * MIB : 40 * MIB + 4] == b"here"
    assert disk.check(str(path)).findings[:2] == (0, 0)


@pytest.mark.parametrize("kind", ["streamOptimized", "version 3", "RDONLY", "NOACCESS", "damaged"])
def test_what_can_only_be_read_says_why_and_what_to_do(kind: str, tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=twoGbMaxExtentSparse")
    if kind == "RDONLY":
        path.write_text(path.read_text().replace("RW ", "RDONLY "))
    elif kind == "NOACCESS":
        path.write_text(path.read_text().replace("RW ", "NOACCESS "))
    else:
        options = "subformat=streamOptimized" if kind == "streamOptimized" else "subformat=monolithicSparse"
        run("qemu-img", "convert", "-O", "vmdk", "-o", options, path.with_name("base.vmdk"), path)
        field, value = ("version", b"\3") if kind == "version 3" else ("directory_offset", b"\0\0\xff")
        if kind != "streamOptimized":
            with path.open("r+b") as file:
                file.seek(Header.offset_of(field))
                file.write(value)
    before = path.read_bytes()
    with pytest.raises((NotSupportedError, ImageError)) as caught:
        disk.open(str(path), "r+", "vmdk")
    assert caught.value.hint.startswith("virtkit disk ") or kind == "NOACCESS"
    assert path.read_bytes() == before


def test_bytes_that_have_no_file_are_refused_zeros_are_not(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=monolithicFlat")
    path.write_text(path.read_text().replace("# The Disk", "RW 128 ZERO\n# The Disk"))
    with disk.open(str(path), "r+", "vmdk") as live:
        live.write(SIZE, bytes(700))
        with pytest.raises(NotSupportedError, match="ZERO extent cannot be written"):
            live.write(SIZE, b"x")


def test_a_file_of_two_tebibytes_is_full(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=monolithicSparse")
    with path.open("r+b") as file:
        file.truncate((1 << 41) - 65536)
    with disk.open(str(path), "r+", "vmdk") as live, pytest.raises(NotSupportedError, match="is 2 TiB long"):
        live.write(2 * MIB, b"x" * MIB)
    with disk.open(str(path)) as chain:
        assert chain.read(2 * MIB, MIB) == bytes(MIB)


def test_a_parent_that_the_user_names_is_not_forgotten_when_zeros_are_written(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=monolithicSparse")
    base = path.with_name("base.vmdk")
    with disk.open(str(path), "r+", "vmdk", Access(parent=str(base))) as live:
        live.zero(0, SIZE)
        assert live.read(0, SIZE) == bytes(SIZE)
        assert next(live.top.extents(MIB, 512)).kind is Kind.DATA


def test_a_disk_does_not_shrink_to_nothing(tmp_path: Path) -> None:
    path = make(tmp_path / "d", "subformat=monolithicSparse")
    with disk.open(str(path), "r+", "vmdk") as live, pytest.raises(NotSupportedError, match="0 bytes"):
        live.resize(0)
    assert len(read_by_qemu(path, "vmdk")) == SIZE
