"""What we serve, as the programs of libnbd and QEMU see it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.images import SIZE, SPECIMENS, Specimen, disk, read_by_qemu, run
from support.serving import serve
from virtkit import disk as library
from virtkit.core.errors import NotSupportedError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

HOLE, ZERO = 1, 2
Map = list[tuple[int, int, int]]  # offset, length, flags of base:allocation


@pytest.fixture(params=SPECIMENS, ids=str)
def specimen(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str, bytes]:
    wanted: Specimen = request.param
    image, content = wanted.make(tmp_path)
    return image, wanted.format, content


@pytest.fixture(params=["raw", "qcow2", "vmdk", "vdi", "qcow"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """An empty image that can be written in place."""
    kind = str(request.param)
    image = tmp_path / f"live.{kind}"
    run("qemu-img", "create", "-q", "-f", kind, image, str(SIZE))
    try:
        library.open(str(image), "r+", kind).close()
    except (NotSupportedError, UsageError) as error:
        pytest.skip(error.message)
    return image, kind


def map_of(uri: str) -> Map:
    """Neighbours of one kind told as one."""
    merged: Map = []
    for entry in json.loads(run("nbdinfo", "--map", "--json", uri)):
        start, length, flags = entry["offset"], entry["length"], entry["type"]
        if merged and merged[-1][2] == flags:
            start, length = merged[-1][0], merged.pop()[1] + length
        merged.append((start, length, flags))
    return merged


def flags_of(told: Map) -> list[int]:
    """Of each sector."""
    return [flags for _, length, flags in told for _ in range(length // 512)]


def map_by_qemu(image: Path, format_: str) -> Map:
    path = image.with_name("theirs.sock")
    command = ["qemu-nbd", "-r", "-f", format_, "-k", str(path), "--fork", "--pid-file", f"{path}.pid", str(image)]
    run(*command)
    return map_of(f"nbd+unix:///?socket={path}")  # it ends with its client


def test_the_disk_is_copied_by_nbdcopy(specimen: tuple[Path, str, bytes], tmp_path: Path) -> None:
    image, kind, content = specimen
    with serve(image, kind) as served:
        run("nbdcopy", served.uri, tmp_path / "copy.raw")
    assert (tmp_path / "copy.raw").read_bytes() == content


def test_where_data_is_is_told_as_qemu_nbd_tells_it(specimen: tuple[Path, str, bytes]) -> None:
    """QEMU also looks for holes in short stretches of its files; what it calls free is free for us too."""
    image, kind, _ = specimen
    theirs = flags_of(map_by_qemu(image, kind))
    with serve(image, kind) as served:
        ours = flags_of(map_of(served.uri))
    assert len(ours) == len(theirs) == SIZE // 512
    assert all(they & ZERO for they, we in zip(theirs, ours, strict=True) if we & ZERO)
    assert all(we == HOLE | ZERO for they, we in zip(theirs, ours, strict=True) if they & HOLE)


def test_qemu_img_reads_it_as_from_the_file(specimen: tuple[Path, str, bytes]) -> None:
    image, kind, _ = specimen
    with serve(image, kind) as served:
        said = run("qemu-img", "compare", "-U", "-f", kind, "-F", "raw", image, served.uri)
    assert "identical" in said


def test_a_disk_is_copied_into_the_image(live: tuple[Path, str], tmp_path: Path) -> None:
    image, kind = live
    source = tmp_path / "source.raw"
    source.write_bytes(disk())
    with serve(image, kind, write=True) as served:
        run("nbdcopy", "--flush", source, served.uri)
    assert read_by_qemu(image, kind) == disk()


def test_qemu_img_converts_into_the_image(live: tuple[Path, str], tmp_path: Path) -> None:
    image, kind = live
    source = tmp_path / "source.raw"
    source.write_bytes(disk())
    with serve(image, kind, write=True) as served:
        run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, served.uri)
        assert "identical" in run("qemu-img", "compare", "-f", "raw", "-F", "raw", source, served.uri)
    assert read_by_qemu(image, kind) == disk()


def test_what_qemu_io_does_over_the_socket_is_what_it_does_to_a_file(live: tuple[Path, str], tmp_path: Path) -> None:
    image, kind = live
    commands = [
        *("write -P 1 0 3M", "write -f -P 2 100k 7k", "write -z 1M 300k", "write -z -u 2M 512k", "write -P 3 5242 9"),
        *("discard 512k 256k", "write -z 512k 256k"),  # what is discarded may hold anything
        *("aio_write -P 4 3M 1M", "aio_flush", "flush", "write -P 5 5245952 512"),
    ]
    script = [word for command in commands for word in ("-c", command)]
    plain = tmp_path / "plain.raw"
    run("qemu-img", "create", "-q", "-f", "raw", plain, str(SIZE))
    run("qemu-io", "-f", "raw", "-d", "unmap", *script, plain)
    with serve(image, kind, write=True) as served:
        said = run("qemu-io", "-f", "raw", "-d", "unmap", *script, served.uri)
    assert "failed" not in said
    assert read_by_qemu(image, kind) == plain.read_bytes()


def each(command: str, first: int, step: int) -> list[str]:
    """Of eighty stretches of 64 KiB, every ``step``th: with a pattern of its own."""
    return [word for at in range(first, 80, step) for word in ("-c", f"{command} -P {at + 1} {at * 64}k 64k")]


def test_two_clients_write_and_see_each_others_writes(live: tuple[Path, str]) -> None:
    image, kind = live
    with serve(image, kind, write=True) as served:
        clients = [
            subprocess.Popen(["qemu-io", "-f", "raw", *each("write", half, 2), served.uri], stdout=subprocess.DEVNULL)
            for half in (0, 1)
        ]
        assert [client.wait(60) for client in clients] == [0, 0]
        assert "failed" not in run("qemu-io", "-r", "-f", "raw", *each("read", 0, 1), served.uri)
    content = read_by_qemu(image, kind)
    assert all(content[at << 16 : (at + 1) << 16] == bytes([at + 1]) * 65536 for at in range(80))


def test_a_chain_is_served_whole_and_its_base_is_left_alone(tmp_path: Path) -> None:
    base, overlay = tmp_path / "base.raw", tmp_path / "overlay.qcow2"
    base.write_bytes(disk())
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 9 1M 100k", overlay)
    with serve(overlay, "qcow2") as served:
        run("nbdcopy", served.uri, tmp_path / "copy.raw")
    assert (tmp_path / "copy.raw").read_bytes() == read_by_qemu(overlay, "qcow2")
    assert base.read_bytes() == disk()


def test_what_is_written_to_a_chain_goes_to_its_top(tmp_path: Path) -> None:
    base, overlay, plain = tmp_path / "base.raw", tmp_path / "overlay.qcow2", tmp_path / "plain.raw"
    for path in (base, plain):
        path.write_bytes(disk())
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay)
    script = ("-c", "write -P 9 1M 100k", "-c", "write -P 8 70001 7", "-c", "write -z 2M 300k", "-c", "write -z 77k 1k")
    run("qemu-io", "-f", "raw", *script, plain)
    with serve(overlay, "qcow2", write=True) as served:
        assert "failed" not in run("qemu-io", "-f", "raw", *script, served.uri)
        assert "identical" in run("qemu-img", "compare", "-f", "raw", "-F", "raw", plain, served.uri)
    assert read_by_qemu(overlay, "qcow2") == plain.read_bytes()
    assert "No errors" in run("qemu-img", "check", overlay)
    assert base.read_bytes() == disk()


def test_what_is_open_for_reading_takes_no_writes(tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(disk())
    with serve(image, "raw") as served:
        exports = json.loads(run("nbdinfo", "--json", served.uri))["exports"]
        assert exports[0]["is_read_only"]
        done = subprocess.run(["nbdcopy", str(image), served.uri], capture_output=True, text=True, check=False)
        assert done.returncode != 0
    assert image.read_bytes() == disk()


def test_an_export_has_the_name_it_was_given(tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(disk())
    with serve(image, "raw", name="été/one two") as served:
        listed = json.loads(run("nbdinfo", "--list", "--json", f"nbd+unix:///?socket={served.socket}"))
        assert [(export["export-name"], export["description"]) for export in listed["exports"]] == [
            ("été/one two", "raw image disk.raw")
        ]
        assert json.loads(run("nbdinfo", "--json", served.uri))["exports"][0]["export-size"] == SIZE
        other = ["nbdinfo", f"nbd+unix:///other?socket={served.socket}"]
        done = subprocess.run(other, capture_output=True, text=True, check=False)
        assert "No such file or directory for export: other" in done.stderr
