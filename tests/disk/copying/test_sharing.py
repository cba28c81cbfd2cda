"""What lies on whole blocks is shared, all else copied; QEMU reads the same disk and the room is hardly touched."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from support.images import VDI_DATA, require_same_data, run
from support.mounts import own_file_system
from virtkit import disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.qemu
MIB = 1 << 20
DATA = 24 * MIB


@pytest.fixture(scope="module", params=["xfs", "btrfs"])
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system whose files can share blocks, with ``disk.raw``: noise, a hole in it, an odd end."""
    with own_file_system(tmp_path_factory.mktemp("shares") / "room", request.param) as folder:
        noise = random.Random(7).randbytes(DATA)
        with (folder / "disk.raw").open("wb") as file:
            file.write(noise[: DATA // 2])
            file.seek(DATA)
            file.write(noise[DATA // 2 :] + b"the end".ljust(512, b"."))
        run("sync", "-f", folder)
        yield folder


def used(folder: Path) -> int:
    run("sync", "-f", folder)
    status = os.statvfs(folder)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def converted(
    source: Path, kind: str, source_format: str, options: dict[str, str] | None = None, backing: str | None = None
) -> tuple[Path, int]:
    """The new image, which QEMU finds equal, and how many bytes of room it took."""
    target = source.with_name(f"made.{kind}")
    target.unlink(missing_ok=True)
    before = used(source.parent)
    disk.convert(
        str(source),
        str(target),
        source_format=source_format,
        target_format=kind,
        options=options,
        backing=backing,
        backing_format="qcow2" if backing else None,
    )
    taken = used(source.parent) - before
    run("qemu-img", "compare", "-q", "-f", source_format, "-F", kind, source, target)
    if kind in {"qcow2", "vdi"}:
        run("qemu-img", "check", "-q", "-f", kind, target)
    return target, taken


@pytest.mark.parametrize("kind", ["qcow2", "vdi", "raw"])
def test_a_raw_disk_is_not_copied(room: Path, kind: str) -> None:
    target, taken = converted(room / "disk.raw", kind, "raw")
    assert taken < DATA // 4
    assert disk.convert(str(target), str(room / "back.raw"), source_format=kind, overwrite=True).allocated < 2 * DATA
    assert (room / "back.raw").read_bytes()[: 2 * DATA] == (room / "disk.raw").read_bytes()[: 2 * DATA]


def mixed(room: Path) -> Path:
    """A qcow2 image with plain, compressed and zero clusters in turn."""
    image = room / "mixed.qcow2"
    image.unlink(missing_ok=True)
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", room / "disk.raw", image)
    for at in range(0, 12, 3):
        for command in (f"discard {at}M 192k", f"write -c -P {at + 1} {at}M 64k", f"write -z {at * 1024 + 128}k 64k"):
            run("qemu-io", "-f", "qcow2", "-c", command, image)
    return image


@pytest.mark.parametrize("options", [{}, {"cluster_size": "4096"}, {"cluster_size": "256K"}], ids=str)
def test_compressed_units_are_decoded_between_what_is_shared(room: Path, options: dict[str, str]) -> None:
    image = mixed(room)
    _, taken = converted(image, "qcow2", "qcow2", options)
    assert taken < DATA * 3 // 4
    _, taken = converted(image, "raw", "qcow2")
    assert taken < DATA // 4


def test_a_chain_is_shared_down_to_its_base(room: Path) -> None:
    base, top = mixed(room), room / "top.qcow2"
    top.unlink(missing_ok=True)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", top)
    for command in ("write -P 9 5M 72k", "write -z 7M 1M"):
        run("qemu-io", "-f", "qcow2", "-c", command, top)
    assert converted(top, "raw", "qcow2")[1] < DATA // 4
    thin, taken = converted(top, "qcow2", "qcow2", backing=str(base))
    assert taken < 2 * MIB
    assert disk.info(str(thin), "qcow2").format == "qcow2"


def test_a_layer_elsewhere_is_copied(room: Path, tmp_path: Path) -> None:
    base, top = tmp_path / "base.raw", room / "near.qcow2"
    top.unlink(missing_ok=True)
    base.write_bytes(random.Random(8).randbytes(4 * MIB))
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", top)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 9 1M 1M", top)
    target = room / "near.raw"
    disk.convert(str(top), str(target), overwrite=True, access=disk.Access(allow_backing=True))
    run("qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", top, target)


def test_units_larger_than_most_are_shared_too(room: Path) -> None:
    source, made, before = room / "disk.raw", room / "large.vdi", used(room)
    options = {"block_size": "8M", "static": "on"}
    disk.convert(str(source), str(made), source_format="raw", options=options)
    assert used(room) - before < 2 * MIB
    require_same_data(source, made, VDI_DATA, source.stat().st_size)
    made.unlink()
