"""Images whose every number may be a lie: opening and walking them ends soon, in little memory, with a clear error.

Each case runs in a process of its own that the kernel ends when it takes too long.
"""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from support.images import Specimen, run
from virtkit.disk.formats import qcow2, vmdk
from virtkit.disk.formats.qcow import layout as qcow_layout
from virtkit.disk.formats.qcow2 import layout as qcow2_layout
from virtkit.disk.formats.vdi import layout as vdi_layout
from virtkit.disk.formats.vdi import signature as vdi_signature
from virtkit.disk.formats.vmdk import layout as vmdk_layout

if TYPE_CHECKING:
    from virtkit.core.structs import Struct

pytestmark = pytest.mark.qemu

METADATA = {"qcow": 16 << 10, "qcow2": 512 << 10, "vmdk": 64 << 10, "vdi": 1 << 10}  # bytes in front of most data
SECONDS = 20  # of processor time, for all files of one walk
MEMORY = 200 << 20  # bytes
WALK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from itertools import islice
from support.reading import open_with
from virtkit.core import plugins
from virtkit.core.errors import VirtkitError
from virtkit.disk import formats
from virtkit.disk.format import CheckableFormat, Format, Kind

chosen = plugins.load(formats, sys.argv[2], Format, "FORMAT")
def walk(path):
    image = open_with(chosen, path)
    try:
        image.facts, image.backing
        for extent in islice(image.extents(0, image.size), 5000):
            if extent.kind is Kind.CODED:
                extent.decode(extent, extent.file.read(extent.at, extent.stored))
        if isinstance(chosen, CheckableFormat):
            chosen.check(image)
    finally:
        image.close()
for path in sys.argv[3:]:
    try:
        walk(path)
        said = "read"
    except VirtkitError as error:
        said = f"{type(error).__name__} {error}"
    print(json.dumps([path, said]))
with open("/proc/self/status") as status:  # ru_maxrss would be the peak of the process that started us, too
    peak = next(line for line in status if line.startswith("VmHWM:"))
print(json.dumps(["memory", int(peak.split()[1]) * 1024]))
"""


class Field(NamedTuple):
    name: str
    offset: int
    width: int
    endian: str


def fields(record: type[Struct], base: int, endian: str) -> list[Field]:
    names = list(record._offsets)
    ends = [*(record.offset_of(name) for name in names[1:]), record.SIZE]
    return [
        Field(name, base + record.offset_of(name), end - record.offset_of(name), endian)
        for name, end in zip(names, ends, strict=True)
        if end - record.offset_of(name) <= 8
    ]


HEADERS = {
    "qcow2": [
        *fields(qcow2_layout.Header, 0, "big"),
        *fields(qcow2_layout.Features, qcow2_layout.Header.SIZE, "big"),
    ],
    "qcow": fields(qcow_layout.Header, 0, "big"),
    "vmdk": fields(vmdk_layout.Header, 0, "little"),
    "vdi": fields(vdi_layout.Header, 0, "little"),
}
SUBJECTS = (
    Specimen("qcow2"),
    Specimen("qcow2", "-o cluster_size=512"),
    Specimen("qcow2", "-c -o compression_type=zstd"),
    Specimen("vmdk"),
    Specimen("vmdk", "-o subformat=streamOptimized"),
    Specimen("vdi"),
    Specimen("qcow"),
)


def walk(format_: str, paths: list[Path]) -> dict[str, str]:
    """What became of each file; fails if one ended the process, took too long or too much memory."""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", WALK, tests, format_, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS)),
    )
    answers = dict(json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0, f"after {list(answers)[-1:]}: {done.stderr[-1500:]}"
    assert answers.pop("memory") < MEMORY
    assert len(answers) == len(paths)
    return answers


@pytest.fixture(scope="module", params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Specimen, Path]:
    specimen: Specimen = request.param
    path, _ = specimen.make(tmp_path_factory.mktemp("hostile"))
    return specimen, path


def changed(path: Path, target: Path, offset: int, value: bytes) -> Path:
    shutil.copyfile(path, target)
    with target.open("r+b") as file:
        file.seek(offset)
        file.write(value)
    return target


def test_every_field_of_the_header_may_hold_anything(subject: tuple[Specimen, Path], tmp_path: Path) -> None:
    specimen, path = subject
    copies = []
    for field in HEADERS[specimen.format]:
        ones = (1 << 8 * field.width) - 1
        for value in {
            0,
            1,
            ones,
            ones >> 1,
            1 << 8 * field.width - 1,
            ones & ~0x1FF,
            0x7FFFFFFF & ones,
            0x10000 & ones,
        }:
            copy = tmp_path / f"{field.name}-{value:x}"
            copies.append(changed(path, copy, field.offset, value.to_bytes(field.width, field.endian)))  # type: ignore[arg-type]  # two literals
    answers = walk(specimen.format, copies)
    refused = [said for said in answers.values() if said != "read"]
    assert len(refused) > len(copies) // 4
    assert all(said.startswith(("CorruptImageError", "NotSupportedError")) for said in refused)


def test_the_rest_of_the_metadata_may_hold_anything(subject: tuple[Specimen, Path], tmp_path: Path) -> None:
    specimen, path = subject
    chance, copies = random.Random(11), []
    for number in range(40):
        copy = shutil.copyfile(path, tmp_path / str(number))
        with copy.open("r+b") as file:
            for _ in range(chance.choice([1, 10, 300])):
                file.seek(8 * chance.randrange(14, METADATA[specimen.format] // 8))
                file.write(chance.choice([b"\xff" * 8, b"\0" * 8, chance.randbytes(8), b"\x80\0\0\0\0\3\0\0"]))
        copies.append(copy)
    answers = walk(specimen.format, copies)
    said = {text.split()[0] for text in answers.values()}
    assert said <= {"read", "CorruptImageError", "NotSupportedError"}
    assert len(said) > 1


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "vdi"])
def test_any_bytes_behind_a_signature_are_refused(name: str, tmp_path: Path) -> None:
    chance, copies = random.Random(3), []
    for number in range(100):
        body = bytearray(chance.randbytes(chance.randrange(4096)))
        if name == "vdi":
            body[64:68] = vdi_signature.SIGNATURE.to_bytes(4, "little")
        else:
            body[:4] = qcow2.signature.MAGIC if name == "qcow2" else vmdk.signature.MAGIC
        if number % 2 and name == "qcow2":
            body[4:8] = b"\0\0\0\3"
        copy = tmp_path / str(number)
        copy.write_bytes(body)
        copies.append(copy)
    assert all(said.startswith(("Corrupt", "NotSupported")) for said in walk(name, copies).values())


def test_a_sparse_file_of_many_terabytes_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "huge.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", path, "1M")
    with path.open("r+b") as file:
        file.truncate(15 << 40)
    assert walk("qcow2", [path]) == {str(path): "read"}
    path = tmp_path / "huge.vdi"
    run("qemu-img", "create", "-q", "-f", "vdi", path, "1M")
    with path.open("r+b") as file:
        file.truncate(15 << 40)
    assert walk("vdi", [path]) == {str(path): "read"}


def test_tables_that_name_each_other_in_a_ring_are_walked_once(tmp_path: Path) -> None:
    """All entries of an L1 table of 32 MiB name one L2 table, whose entries all name that table."""
    path = tmp_path / "ring.qcow2"
    cluster = 512
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"cluster_size={cluster}", path, "1M")
    l1_at, entries = 1 << 20, 4 << 20
    l2_at = l1_at + 8 * entries
    with path.open("r+b") as file:
        file.seek(qcow2_layout.Header.offset_of("l1_size"))
        file.write(entries.to_bytes(4, "big") + l1_at.to_bytes(8, "big"))
        file.seek(l1_at)
        file.write((l2_at | 1 << 63).to_bytes(8, "big") * entries)
        file.write((l2_at | 1 << 63).to_bytes(8, "big") * (cluster // 8))
    assert walk("qcow2", [path]) == {str(path): "read"}


def test_many_snapshots_that_share_one_great_l1_table_are_walked_once(tmp_path: Path) -> None:
    path = tmp_path / "snapshots.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "1M")
    l1_at, count = 64 << 20, 65536
    entry = qcow2_layout.SnapshotHeader(
        l1_at, 4 << 20, id_size=1, name_size=1, date_sec=0, date_nsec=0, vm_clock_nsec=0, vm_state_size=0, extra_size=16
    )
    record = entry.pack() + bytes(16) + b"1a" + bytes(6)
    with path.open("r+b") as file:
        file.seek(qcow2_layout.Header.offset_of("snapshot_count"))
        file.write(count.to_bytes(4, "big") + (1 << 20).to_bytes(8, "big"))
        file.seek(1 << 20)
        file.write(record * count)
        file.truncate(l1_at + (32 << 20))
    (said,) = walk("qcow2", [path]).values()
    assert said.startswith(("read", "CorruptImageError"))
