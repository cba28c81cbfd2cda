from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.images import run
from virtkit.core.errors import CorruptImageError, ForbiddenReferenceError, NotSupportedError
from virtkit.core.units import MIB
from virtkit.disk import inside
from virtkit.disk.file import File
from virtkit.disk.inside import Stretch, Window

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

FORMATS = {
    "stream": ("vmdk", "-o", "subformat=streamOptimized"),
    "sparse": ("vmdk",),
    "qcow2": ("qcow2",),
    "packed": ("qcow2", "-c"),
    "vdi": ("vdi",),
}
FRONT, BEHIND = 1536, 3000  # bytes of other members; not whole blocks


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Zeros, text and noise, and holes between them."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as file:
        file.truncate(8 * MIB)
        for at, content in ((0, b"begin" * 1000), (2 * MIB + 7, os.urandom(MIB)), (8 * MIB - 3, b"end")):
            file.seek(at)
            file.write(content)
    return path


def archived(image: Path) -> Stretch:
    """Within another file, between noise."""
    content = image.read_bytes()
    whole = image.with_suffix(".archive")
    whole.write_bytes(os.urandom(FRONT) + content + os.urandom(BEHIND))
    return Stretch(str(whole), f"{whole}: disk", FRONT, len(content))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("target", ["qcow2", "raw"])
def test_a_guest_sees_the_same_disk(kind: str, target: str, raw: Path, tmp_path: Path) -> None:
    name, *options = FORMATS[kind]
    image, made = tmp_path / f"disk.{name}", tmp_path / "made"
    run("qemu-img", "convert", "-f", "raw", "-O", name, *options, raw, image)
    stretch = archived(image)
    image.unlink()
    inside.convert(stretch, str(made), target_format=target)
    run("qemu-img", "compare", "-f", "raw", "-F", target, raw, made)


def test_what_was_packed_is_unpacked_without_a_name(raw: Path, tmp_path: Path) -> None:
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", raw, tmp_path / "disk.vmdk")
    packed = tmp_path / "disk.vmdk.gz"
    packed.write_bytes(gzip.compress((tmp_path / "disk.vmdk").read_bytes()))
    stretch = archived(packed)._replace(packed=True, most=16 * MIB)
    before = set(tmp_path.iterdir())
    inside.convert(stretch, str(tmp_path / "made"), target_format="qcow2")
    assert set(tmp_path.iterdir()) - before == {tmp_path / "made"}
    run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, tmp_path / "made")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(bytes(2 * MIB)), "longer than 1048576 bytes"),
        (gzip.compress(os.urandom(1000))[:-20], "cut short"),
        (b"plain text" * 100, "incorrect header check"),
    ],
)
def test_what_is_no_honest_gzip_is_refused_and_leaves_nothing(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(content)
    stretch = Stretch(str(tmp_path / "a.gz"), "a", packed=True, most=MIB)
    with pytest.raises(CorruptImageError, match=told):
        inside.convert(stretch, str(tmp_path / "made"), target_format="raw")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gz"]


def test_an_image_that_needs_other_files_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "other.raw").write_bytes(b"secret".ljust(MIB))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "other.raw", "-F", "raw", tmp_path / "a.qcow2")
    with pytest.raises(ForbiddenReferenceError, match=r"needs other.raw"):
        inside.convert(archived(tmp_path / "a.qcow2"), str(tmp_path / "made"), target_format="raw")
    text = '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
    (tmp_path / "b.vmdk").write_text(f'{text}RW 2048 FLAT "other.raw" 0\n')
    with pytest.raises(ForbiddenReferenceError, match=r"needs .*other.raw"):
        inside.convert(archived(tmp_path / "b.vmdk"), str(tmp_path / "made"), target_format="raw")
    assert not (tmp_path / "made").exists()


def test_a_stretch_beyond_the_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1000))
    with pytest.raises(CorruptImageError, match="1000 bytes long, expected at least 1001"):
        inside.read(Stretch(str(tmp_path / "a"), "a", 500, 501), MIB)
    with pytest.raises(CorruptImageError, match="at most 100 bytes"):
        inside.read(Stretch(str(tmp_path / "a"), "a", 500, 500), 100)


@given(st.integers(0, 90), st.integers(0, 90), st.integers(0, 120), st.integers(0, 120))
def test_a_window_shows_nothing_of_what_is_around_it(start: int, length: int, at: int, many: int) -> None:
    content = bytes(range(200))
    fd = os.memfd_create("window")
    os.write(fd, content)
    file = File(fd, "file")
    try:
        window, seen = Window(file, "window", start, length), content[start : start + length]
        assert window.size == len(seen)
        assert window.read(at, many) == seen[at : at + many]
        room = bytearray(many)
        assert room[: window.read_into(at, memoryview(room))] == seen[at : at + many]
        assert all(0 <= begin < stop <= length for begin, stop in window.data(0, many))
        with pytest.raises(NotSupportedError):
            window.write(0, b"x")
    finally:
        file.close()
