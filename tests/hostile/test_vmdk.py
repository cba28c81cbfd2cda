"""VMDK whose descriptors, headers and tables lie: all is walked and checked soon, in little memory, or refused."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import pytest

from hostile.test_images import fields, walk
from support.esx import cowd, describe, sesparse
from support.images import run
from virtkit.disk.formats.vmdk import cowd as cowd_format
from virtkit.disk.formats.vmdk import sesparse as se_format
from virtkit.disk.formats.vmdk.layout import Header

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SECTORS = 40_000
WRITTEN = {number: bytes([number % 255 + 1]) * 4096 for number in (0, 1, 2, 9, 200, 4200)}
HEAD = '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="custom"\n'
TELL = ("CorruptImageError", "NotSupportedError", "ForbiddenReferenceError", "NotFoundError", "read")


def descriptors(folder: Path, kind: str, extents: list[bytes]) -> list[Path]:
    paths = []
    for number, extent in enumerate(extents):
        (folder / f"{number}-part.vmdk").write_bytes(extent)
        paths.append(folder / f"{number}.vmdk")
        describe(paths[-1], "custom", kind, SECTORS, f"{number}-part.vmdk", None)
    return paths


@pytest.mark.parametrize("kind", ["VMFSSPARSE", "SESPARSE"])
def test_every_field_of_an_esx_header_may_hold_anything(kind: str, tmp_path: Path) -> None:
    sound = cowd(SECTORS, 8, WRITTEN) if kind == "VMFSSPARSE" else sesparse(SECTORS, {**WRITTEN, 7: "zeroed"})
    record = cowd_format.Header if kind == "VMFSSPARSE" else se_format.Header
    extents = [sound]
    for field in fields(record, 0, "little"):
        ones = (1 << 8 * field.width) - 1
        for value in (0, 1, 7, 0x10000, ones >> 1, ones - 511, ones):
            at = field.offset
            extents.append(sound[:at] + value.to_bytes(field.width, "little") + sound[at + field.width :])
    answers = walk("vmdk", descriptors(tmp_path, kind, extents))
    assert next(iter(answers.values())) == "read"
    assert all(said.startswith(TELL[:2]) for said in answers.values() if said != "read")
    assert sum(said != "read" for said in answers.values()) > len(extents) // 4


@pytest.mark.parametrize("kind", ["VMFSSPARSE", "SESPARSE"])
def test_the_tables_of_an_esx_extent_may_hold_anything(kind: str, tmp_path: Path) -> None:
    sound = cowd(SECTORS, 8, WRITTEN) if kind == "VMFSSPARSE" else sesparse(SECTORS, {**WRITTEN, 7: "zeroed"})
    chance, extents = random.Random(7), []
    for _ in range(30):
        data = bytearray(sound)
        for _ in range(chance.choice([1, 10, 500])):
            at = 8 * chance.randrange(2048 // 8, len(data) // 8)
            data[at : at + 8] = chance.choice([b"\xff" * 8, b"\0" * 8, chance.randbytes(8), b"\1\0\0\0\0\0\0\x30"])
        extents.append(bytes(data))
    answers = walk("vmdk", descriptors(tmp_path, kind, extents))
    assert {said.split()[0] for said in answers.values()} <= {"read", "CorruptImageError"}


def test_a_descriptor_may_hold_anything(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(4096))
    chance, paths = random.Random(3), []
    words = ["RW", "RDONLY", "NOACCESS", "0", "8", "-1", "99999999999999999999", "=", "CID", "parentCID", "\n", "\0"]
    words += ["FLAT", "SPARSE", "ZERO", "VMFS", "SESPARSE", '"a.bin"', '"/etc/shadow"', '"0.vmdk"', '""', "\n", "é"]
    for number in range(150):
        path = tmp_path / f"{number}.vmdk"
        path.write_text(HEAD + " ".join(chance.choices(words, k=chance.randrange(60))))
        paths.append(path)
    answers = walk("vmdk", paths)
    assert all(said.startswith(TELL) for said in answers.values())


@pytest.mark.parametrize(
    "line",
    [
        'RW 8 FLAT "a.bin" 0\n' * 40_000,
        'RW 0 FLAT "a.bin" 0\n' * 40_000,
        "RW 1 ZERO\n" * 90_000,
        "RW 9007199254740991 ZERO\n" * 2,
        'RW 8 SPARSE "a.bin"\n' * 40_000,
        'a="b"\n' * 150_000,
        '"' * 1_000_000,
        " " * 1_000_000 + "x",
        "a" * 1_000_000,
        ("a." * 500_000) + '="b"',
        "# " * 520_000,
        "\n" * 1_000_000,
    ],
    ids=lambda line: f"{line[:24]!r}",
)
def test_a_descriptor_of_a_mebibyte_is_read_soon(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(4096))
    (tmp_path / "d.vmdk").write_text(HEAD + line)
    (said,) = walk("vmdk", [tmp_path / "d.vmdk"]).values()
    assert said.startswith(TELL)


def image(path: Path, capacity: int, change: dict[int, bytes], size: int) -> Path:
    """A sparse disk of ``capacity`` sectors in a file of ``size`` bytes, with ``change`` at its offsets."""
    run("qemu-img", "create", "-q", "-f", "vmdk", path, "1M")
    with path.open("r+b") as file:
        file.truncate(size)
        for at, data in {Header.offset_of("capacity"): struct.pack("<Q", capacity), **change}.items():
            file.seek(at)
            file.write(data)
    return path


def test_a_directory_whose_entries_all_name_one_table(tmp_path: Path) -> None:
    """8 Mi entries, 256 TiB of disk; the table is full of one grain."""
    at, tables = 1 << 20, 8 << 20
    table = at + 4 * tables
    change = {
        Header.offset_of("directory_offset"): struct.pack("<Q", at // 512),
        Header.offset_of("flags"): struct.pack("<I", 1),
        at: struct.pack("<I", table // 512) * tables,
        table: struct.pack("<I", table // 512) * 512,
    }
    path = image(tmp_path / "ring.vmdk", tables * 65536, change, table + (1 << 20))
    (said,) = walk("vmdk", [path]).values()
    assert said == "read"


def test_a_huge_sparse_file_with_a_huge_empty_directory_costs_nothing(tmp_path: Path) -> None:
    change = {Header.offset_of("directory_offset"): struct.pack("<Q", 1 << 20)}
    path = image(tmp_path / "huge.vmdk", (8 << 20) * 65536, change, 15 << 40)
    assert walk("vmdk", [path]) == {str(path): "read"}


def test_grains_of_one_sector_scattered_over_a_huge_file(tmp_path: Path) -> None:
    chance, at, tables = random.Random(1), 1 << 20, 256
    first = at + 4 * tables
    entries = [struct.pack("<512I", *(chance.randrange(1 << 31) for _ in range(512))) for _ in range(tables)]
    change = {
        Header.offset_of("directory_offset"): struct.pack("<Q", at // 512),
        Header.offset_of("flags"): struct.pack("<I", 1),
        Header.offset_of("grain_size"): struct.pack("<Q", 1),
        at: struct.pack(f"<{tables}I", *range(first // 512, first // 512 + 4 * tables, 4)),
        first: b"".join(entries),
    }
    path = image(tmp_path / "scattered.vmdk", tables * 512, change, 2 << 40)
    (said,) = walk("vmdk", [path]).values()
    assert said.startswith(TELL)
