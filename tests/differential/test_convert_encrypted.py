"""What convert encrypts, QEMU reads with the same passphrase; what QEMU encrypted, convert reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from differential.histories import Kind, make
from golden.test_golden import access, guest, unpack
from support.images import run
from support.typed import virtkit
from virtkit import disk
from virtkit.core.errors import ImageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
WORD = b"open sesame"
KINDS = ("luks", "aes")
FAST = {"encrypt.iter-time": "10"}  # milliseconds that a guess costs


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make(tmp_path, Kind("raw"), ["write -P 1 100k 1M", "write -P 2 2M 5k", "write -z 300k 64k"])


def options(kind: str) -> dict[str, str]:
    return {"encrypt.format": kind, **(FAST if kind == "luks" else {})}


def by_qemu(image: Path, kind: str) -> bytes:
    back = image.with_name("back.raw")
    key = ("--object", f"secret,id=k,data={WORD.decode()}")
    graph = f"driver=qcow2,encrypt.format={kind},encrypt.key-secret=k,file.filename={image}"
    run("qemu-img", "convert", *key, "--image-opts", "-O", "raw", graph, back)
    return back.read_bytes()


class Theirs(NamedTuple):
    """An image that QEMU encrypted."""

    path: Path
    access: disk.Access
    guest: bytes


@pytest.fixture(params=KINDS)
def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> Theirs:
    return golden(str(request.param), tmp_path)


def golden(kind: str, folder: Path) -> Theirs:
    name = f"qemu7-qcow2-{kind}"
    path = unpack(name, folder)
    return Theirs(path, access(name, path), guest(name))


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_qemu_reads_what_we_encrypt(kind: str, threads: int, source: Path, tmp_path: Path) -> None:
    ours = tmp_path / "ours.qcow2"
    disk.convert(
        str(source),
        str(ours),
        source_format="raw",
        options=options(kind),
        secret=WORD,
        threads=threads,
        verify=True,
    )
    assert by_qemu(ours, kind) == source.read_bytes()
    assert source.read_bytes()[150 << 10 :][:512] not in ours.read_bytes()


def test_we_read_what_qemu_encrypts(theirs: Theirs, tmp_path: Path) -> None:
    disk.convert(str(theirs.path), str(tmp_path / "ours.raw"), access=theirs.access)
    assert (tmp_path / "ours.raw").read_bytes() == theirs.guest


def test_a_wrong_passphrase_makes_nothing(tmp_path: Path) -> None:
    path = golden("luks", tmp_path).path
    for secret in (b"open barley", None):
        with pytest.raises(ImageError):
            disk.convert(str(path), str(tmp_path / "new.raw"), access=disk.Access(secret=secret))
    assert not (tmp_path / "new.raw").exists()


def test_encrypted_sources_stand_in_a_row(theirs: Theirs, tmp_path: Path) -> None:
    """Where a byte is in its own disk decides how it is decrypted, not where it is in the row."""
    disk.convert([str(theirs.path)] * 2, str(tmp_path / "ours.raw"), access=theirs.access)
    assert (tmp_path / "ours.raw").read_bytes() == theirs.guest * 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_encrypted_image_on_a_backing_image(kind: str, source: Path, tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", source.name, "-F", "raw", tmp_path / "top.qcow2")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 9 500k 10k", tmp_path / "top.qcow2")
    ours = tmp_path / "ours.qcow2"
    disk.convert(
        str(tmp_path / "top.qcow2"),
        str(ours),
        backing=source.name,
        backing_format="raw",
        options=options(kind),
        secret=WORD,
        verify=True,
    )
    run("qemu-img", "convert", "-O", "raw", tmp_path / "top.qcow2", tmp_path / "wanted.raw")
    assert by_qemu(ours, kind) == (tmp_path / "wanted.raw").read_bytes()


def test_a_person_gives_one_key_to_the_source_and_another_to_the_target(tmp_path: Path) -> None:
    theirs = golden("luks", tmp_path)
    (tmp_path / "old").write_bytes(theirs.access.secret or b"")
    (tmp_path / "new").write_bytes(b"another word")
    words = ("--encrypt", "luks", "-o", "encrypt.iter-time=10", "--key-file", "old", "--new-key-file", "new")
    said = virtkit(tmp_path, "convert", *words, theirs.path.name, "ours.qcow2")
    assert said.status == 0, said.err
    alike = virtkit(tmp_path, "compare", "--key-file", "old", "--key-file2", "new", theirs.path.name, "ours.qcow2")
    assert (alike.status, alike.out) == (0, "Images are identical.\n")
    assert virtkit(tmp_path, "compare", "--key-file", "old", theirs.path.name, "ours.qcow2").status == 2
    refused = virtkit(tmp_path, "convert", theirs.path.name, "plain.raw")
    assert (refused.status, "--key-file FILE" in refused.err) == (1, True)
