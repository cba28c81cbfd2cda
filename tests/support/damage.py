"""qcow2 images that were damaged on purpose, and how QEMU counts the damage."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from support.images import disk, run
from support.reading import open_with
from virtkit.disk.formats.qcow2 import FORMAT
from virtkit.disk.formats.qcow2.image import Qcow2Image
from virtkit.disk.formats.qcow2.layout import OFFSET

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from virtkit.disk.format import Findings
    from virtkit.disk.formats.qcow2.head import Head

KINDS = (
    "-o compat=0.10",
    "-o cluster_size=512",
    "-o cluster_size=2M",
    "-c",
    "-c -o cluster_size=4k,refcount_bits=64",
    "-c -o compression_type=zstd",
    "-o refcount_bits=2",
    "-o refcount_bits=8",
    "-o refcount_bits=32",
    "-o preallocation=metadata",
    "-o extended_l2=on",
    "-c -o extended_l2=on,cluster_size=16k",
    "-o data_file={}/a.data",
    "-o data_file={}/a.data,data_file_raw=on,cluster_size=4k",
)


class Counts(NamedTuple):
    corruptions: int
    leaks: int
    image_end: int
    total: int
    allocated: int
    fragmented: int
    compressed: int


def counts_of(found: Findings) -> Counts:
    clusters = (found.total_clusters, found.allocated_clusters, found.fragmented_clusters, found.compressed_clusters)
    return Counts(found.corruptions, found.leaks, found.image_end, *clusters)


def counted_by_qemu(path: Path, *, key: str = "") -> Counts:
    opened = ["-f", "qcow2", str(path)]
    if key:
        opened = [
            "--object",
            f"secret,id=k,data={key}",
            "--image-opts",
            f"driver=qcow2,file.filename={path},encrypt.key-secret=k",
        ]
    command = ["qemu-img", "check", "--output", "json", *opened]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert not told["check-errors"]
    keys = ("corruptions", "leaks", "image-end-offset", "total-clusters")
    clusters = ("allocated-clusters", "fragmented-clusters", "compressed-clusters")
    return Counts(*(told.get(key, 0) for key in (*keys, *clusters)))


class Subject(NamedTuple):
    path: Path
    head: Head
    entries: list[int]  # where the entries of all tables are in the file, that of the refcount table left out


def make_subject(folder: Path, options: str) -> Subject:
    """An image with two snapshots, shared and rewritten clusters, and a bitmap where there can be one."""
    raw, path = folder / "a.raw", folder / "a.qcow2"
    raw.write_bytes(disk())
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options.format(folder).split(), raw, path)
    for name in ("one", "two"):
        if "data_file" not in options:
            run("qemu-img", "snapshot", "-c", name, path)
        run("qemu-io", "-f", "qcow2", "-c", "write 1M 300k", "-c", "write 2M 100k", path)
    if "0.10" not in options:
        run("qemu-img", "bitmap", "--add", path, "daily")
    image = open_with(FORMAT, path)
    image.close()
    assert isinstance(image, Qcow2Image)
    return Subject(path, image.head, entries_of(path, image.head))


def entries_of(path: Path, head: Head) -> list[int]:
    data, header = path.read_bytes(), head.header

    def table(at: int, count: int) -> list[int]:
        return [at + 8 * index for index in range(count)]

    def target(at: int) -> int:
        return int.from_bytes(data[at : at + 8], "big") & OFFSET

    l1 = table(header.l1_offset, header.l1_size)
    blocks = table(header.refcount_table_offset, 32)
    tables = [target(at) for at in (*l1, *blocks) if target(at)]
    return l1 + [entry for at in tables for entry in table(at, head.cluster_size // 8)[:700]]


def damage(path: Path, subject: Subject, chance: random.Random) -> None:
    """One bit flipped in, or another entry copied over, one to three entries of L1, L2 and refcount blocks."""
    with path.open("r+b") as file:
        for _ in range(chance.randint(1, 3)):
            at = chance.choice(subject.entries)
            file.seek(chance.choice(subject.entries))
            other = file.read(8)
            file.seek(at)
            entry = int.from_bytes(file.read(8).ljust(8, b"\0"), "big")
            file.seek(at)
            file.write(other if chance.random() < 0.5 else (entry ^ 1 << chance.randrange(64)).to_bytes(8, "big"))
