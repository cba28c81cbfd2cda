"""New images with every option: QEMU finds them sound, tells the same of them as of its own, and reads what is in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.images import SIZE, disk, read_by_qemu, run
from virtkit import disk as virtkit
from virtkit.core.errors import UsageError
from virtkit.disk.file import File
from virtkit.disk.format import Blank
from virtkit.disk.formats.qcow2 import FORMAT
from virtkit.disk.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.qemu

OPTIONS = (
    "",
    "compat=0.10",
    "compat=v3,lazy_refcounts=on",
    "cluster_size=512",
    "cluster_size=2M",
    *(f"refcount_bits={1 << order}" for order in range(7)),
    "extended_l2=on",
    "extended_l2=on,cluster_size=16k,preallocation=metadata",
    "preallocation=metadata",
    "preallocation=metadata,compat=0.10,cluster_size=1k",
    "preallocation=falloc",
    "preallocation=full,cluster_size=4k",
    "data_file=a.data",
    "data_file=a.data,data_file_raw=on",
    "data_file=a.data,extended_l2=on,preallocation=full",
    "compression_type=zstd",
)
COMPRESSED = (
    "compat=0.10",
    "cluster_size=512,refcount_bits=1",
    "refcount_bits=1",
    "refcount_bits=2,cluster_size=2M",
    "refcount_bits=4,compression_type=zstd",
    "extended_l2=on,refcount_bits=64",
)


def mapping(options: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in options.split(",")) if options else {}


def specific(path: Path) -> Mapping[str, object]:
    found: Mapping[str, object] = json.loads(run("qemu-img", "info", "--output", "json", path))["format-specific"]
    return found


@pytest.fixture(autouse=True)
def _beside_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QEMU looks for data files where it runs."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "a.raw"
    path.write_bytes(disk())
    return path


def made(source: Path, folder: Path, options: str, *, compress: bool = False) -> Path:
    target = folder / "a.qcow2"
    virtkit.convert(str(source), str(target), source_format="raw", options=mapping(options), compress=compress)
    assert "No errors" in run("qemu-img", "check", target)
    return target


@pytest.mark.parametrize("options", OPTIONS)
def test_what_is_made_is_what_qemu_makes(options: str, source: Path, tmp_path: Path) -> None:
    path = made(source, tmp_path, options)
    assert read_by_qemu(path, "qcow2") == disk()
    ours = specific(path)
    theirs = tmp_path / "theirs.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", *(["-o", options] if options else []), theirs, str(SIZE))
    assert ours == specific(theirs)


@pytest.mark.parametrize("options", COMPRESSED)
def test_compressed_data_share_clusters_as_far_as_refcounts_go(options: str, source: Path, tmp_path: Path) -> None:
    assert read_by_qemu(made(source, tmp_path, options, compress=True), "qcow2") == disk()


def test_a_raw_data_file_is_the_disk(source: Path, tmp_path: Path) -> None:
    made(source, tmp_path, "data_file=a.data,data_file_raw=on")
    assert (tmp_path / "a.data").read_bytes() == disk()


@pytest.mark.parametrize(
    ("options", "takes"),
    [("preallocation=metadata", False), ("preallocation=falloc", True), ("data_file=a.data", False)],
)
def test_room_is_taken_beforehand_where_that_is_wanted(options: str, takes: bool, tmp_path: Path) -> None:  # noqa: FBT001  a column
    empty = tmp_path / "empty.raw"
    empty.touch()
    os.truncate(empty, 64 << 20)
    path = made(empty, tmp_path, options)
    assert (path.stat().st_blocks * 512 >= 64 << 20) == takes


class Scene:
    """A writer used by hand: an image on a backing image that is full of ones."""

    def __init__(self, folder: Path, options: str, size: int, *, backing: bool = True) -> None:
        self.folder, self.path, self.size = folder, folder / "top.qcow2", size
        (folder / "base.raw").write_bytes(b"\1" * size)
        self.path.touch()
        self.file = File.open(self.path, writable=True)
        self.files = [self.file]
        base = Reference("base.raw", "raw") if backing else None
        blank = Blank(size, size, mapping(options), self.beside, backing=base, secret=SECRET.encode())
        self.writer = FORMAT.writer(self.file, blank)

    def beside(self, name: str) -> File:
        (self.folder / name).touch()
        self.files.append(File.open(self.folder / name, writable=True))
        return self.files[-1]

    def put(self, start: int, data: bytes) -> None:
        for place in self.writer.place(start, len(data)):
            part = data[: place.length]
            place.file.write(place.at, place.seal(place.at, part) if place.seal else part)
            data = data[place.length :]

    def finish(self) -> None:
        self.writer.finish()
        for file in self.files:
            file.close()

    def read(self) -> bytes:
        self.finish()
        assert "No errors" in run("qemu-img", "check", self.path)
        return read_by_qemu(self.path, "qcow2")


@pytest.mark.parametrize(
    "options",
    [
        "compat=0.10",
        "compat=1.1",
        "extended_l2=on",
        "data_file=a.data",
        "cluster_size=512,refcount_bits=1",
        "extended_l2=on,preallocation=metadata",
        "extended_l2=on,preallocation=full,data_file=a.data",
    ],
)
def test_zeros_over_a_backing_image_are_zeros_and_the_rest_shines_through(options: str, tmp_path: Path) -> None:
    unit, size = FORMAT.unit(mapping(options)), (100 << 16) + 512
    scene = Scene(tmp_path, options, size)
    scene.put(2 * unit, b"\2" * unit)
    scene.writer.blank(4 * unit, 3 * unit)
    scene.writer.blank(size - size % unit, size % unit) if size % unit else scene.writer.blank(size - unit, unit)
    expected = bytearray(b"\1" * size)
    expected[2 * unit : 3 * unit] = b"\2" * unit
    expected[4 * unit : 7 * unit] = bytes(3 * unit)
    tail = size % unit or unit
    expected[size - tail :] = bytes(tail)
    assert scene.read() == expected


SECRET = "correct horse battery staple"
ENCRYPTED = (
    "encrypt.format=aes",
    "encrypt.format=aes,compat=0.10,cluster_size=512",
    "encrypt.format=luks",
    "encrypt.format=luks,compat=0.10",
    "encrypt.format=luks,encrypt.cipher-alg=aes-128,encrypt.hash-alg=sha1",
    "encrypt.format=luks,encrypt.cipher-alg=aes-192,encrypt.ivgen-alg=plain",
    "encrypt.format=luks,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv,encrypt.ivgen-hash-alg=sha256",
    "encrypt.format=luks,encrypt.cipher-mode=ecb,encrypt.hash-alg=sha512,cluster_size=4k",
    "encrypt.format=luks,preallocation=metadata",
    "encrypt.format=luks,preallocation=full,extended_l2=on",
    "encrypt.format=luks,data_file=a.data",
    "encrypt.format=aes,data_file=a.data",
)


@pytest.mark.parametrize("options", ENCRYPTED)
def test_encrypted_images_are_read_by_qemu_with_their_passphrase(options: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, options + (",encrypt.iter-time=10" if "luks" in options else ""), SIZE, backing=False)
    plain = disk()
    for at in range(0, SIZE, 2 * scene.writer.unit):
        scene.put(at, plain[at : at + scene.writer.unit])
    shown = bytearray(SIZE)
    for at in range(0, SIZE, 2 * scene.writer.unit):
        shown[at : at + scene.writer.unit] = plain[at : at + scene.writer.unit]
    scene.finish()
    key = ("--object", f"secret,id=k,data={SECRET}")
    image = f"driver=qcow2,file.filename={scene.path},encrypt.key-secret=k"
    assert "No errors" in run("qemu-img", "check", *key, "--image-opts", image)
    run("qemu-img", "convert", *key, "--image-opts", image, "-O", "raw", "back.raw")
    assert (tmp_path / "back.raw").read_bytes() == shown
    assert virtkit.info(str(scene.path)).facts.specific == specific(scene.path)["data"]
    run("qemu-img", "resize", *key, "--image-opts", image, "+1M")
    run("qemu-img", "convert", *key, "--image-opts", image, "-O", "raw", "back.raw")
    assert (tmp_path / "back.raw").read_bytes() == shown + bytes(1 << 20)


def test_a_cipher_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cipher-alg is des"):
        Scene(tmp_path, "encrypt.format=luks,encrypt.cipher-alg=des", 1 << 20)


@pytest.mark.parametrize("options", ["encrypt.format=aes,compat=0.10", "encrypt.format=luks,encrypt.iter-time=10"])
def test_zeros_over_a_backing_image_are_encrypted_too(options: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, options, 1 << 20)
    scene.writer.blank(1 << 16, 3 << 16)
    scene.finish()
    key = ("--object", f"secret,id=k,data={SECRET}")
    image = f"driver=qcow2,file.filename={scene.path},encrypt.key-secret=k"
    run("qemu-img", "convert", *key, "--image-opts", image, "-O", "raw", "back.raw")
    expected = bytearray(b"\1" * (1 << 20))
    expected[1 << 16 : 4 << 16] = bytes(3 << 16)
    assert (tmp_path / "back.raw").read_bytes() == expected


@pytest.mark.parametrize("compat", ["0.10", "1.1"])
def test_the_backing_image_is_named_with_its_format(compat: str, tmp_path: Path) -> None:
    scene = Scene(tmp_path, f"compat={compat}", 1 << 20)
    assert scene.read() == b"\1" * (1 << 20)
    told = json.loads(run("qemu-img", "info", "--output", "json", scene.path))
    assert (told["backing-filename"], told["backing-filename-format"]) == ("base.raw", "raw")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("cluster_size=3K", "power of two"),
        ("cluster_size=4M", "power of two from 512 to 2M"),
        ("extended_l2=on,cluster_size=8K", "16K at least"),
        ("extended_l2=maybe", "on or off"),
        ("refcount_bits=3", "1, 2, 4"),
        ("refcount_bits=128", "or 64"),
        ("compat=2.0", "0.10 or 1.1"),
        ("compat=0.10,refcount_bits=8", "expected 1.1 for refcount_bits"),
        ("compat=0.10,lazy_refcounts=on", "expected 1.1 for lazy_refcounts"),
        ("compat=0.10,extended_l2=on", "expected 1.1 for extended_l2"),
        ("compat=0.10,data_file=a.data", "expected 1.1 for data_file"),
        ("compat=0.10,compression_type=zstd", "expected 1.1 for compression_type zstd"),
        ("compression_type=lzo", "zlib or zstd"),
        ("preallocation=some", "off or metadata or falloc or full"),
        ("data_file_raw=on", "needs a data file"),
        ("encrypt.format=rot13", "aes or luks"),
        ("encrypt.cipher-alg=aes-128", "encrypt.cipher-alg is for LUKS alone"),
        ("encrypt.format=luks,encrypt.iter-time=soon", "milliseconds"),
        ("encrypt.format=luks", "passphrase of the encrypted image is missing"),
    ],
)
def test_what_makes_no_sense_is_refused(options: str, said: str, source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        made(source, tmp_path, options)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("options", ["data_file=a.data", "preallocation=metadata"])
def test_what_cannot_be_compressed_is_refused(options: str, tmp_path: Path) -> None:
    (tmp_path / "a.qcow2").touch()
    file = File.open(tmp_path / "a.qcow2", writable=True)
    blank = Blank(1 << 20, 0, mapping(options), lambda name: file, coded=True)
    with pytest.raises(UsageError, match="compression does not go with"):
        FORMAT.writer(file, blank)
    assert file.size == 0
    file.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [("preallocation=metadata", "extended_l2=on"), ("data_file=a.data,data_file_raw=on", "data_file")],
)
def test_what_does_not_go_with_a_backing_image_is_refused(options: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        Scene(tmp_path, options, 1 << 20)
    assert said in caught.value.hint


@pytest.mark.parametrize("options", ["", "preallocation=metadata,cluster_size=2M", "extended_l2=on"])
def test_ten_tebibytes_are_made_in_little_memory(options: str, tmp_path: Path) -> None:
    program = """
import sys
from virtkit.disk.file import File
from virtkit.disk.format import Blank
from virtkit.disk.formats.qcow2 import FORMAT
options = dict(pair.split("=") for pair in sys.argv[2].split(",") if pair)
file = File.open(sys.argv[1], writable=True)
FORMAT.writer(file, Blank(10 << 40, 0, options, lambda name: file)).finish()
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    path = tmp_path / "a.qcow2"
    path.touch()
    done = subprocess.run(
        [sys.executable, "-c", program, path, options], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) < 60 << 10
    assert json.loads(run("qemu-img", "info", "--output", "json", path))["virtual-size"] == 10 << 40
