"""Plain LUKS images, written here and read by QEMU, and the other way round."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings

from support.depth import deep
from support.images import ENCRYPTED, KIB, MIB, SECRET, disk, read_by_qemu, run
from support.layers import copied
from support.model import Model, Step, steps
from virtkit import disk as virtkit
from virtkit.core.errors import CorruptImageError, ImageError, UsageError, WrongKeyError
from virtkit.core.progress import Note
from virtkit.disk import Access
from virtkit.disk.formats.luks import FORMAT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

(QEMU,) = (specimen for specimen in ENCRYPTED if specimen.format == "luks")
SIZE = 300 * KIB + 3 * 512
QUICK = {"iter-time": "1"}


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("luks") / "image.luks"
    virtkit.create(str(path), SIZE, target_format="luks", options=QUICK, secret=SECRET)
    return path


def read(path: Path, secret: bytes | None = SECRET) -> bytes:
    with virtkit.open(str(path), "r", "luks", Access(secret=secret)) as opened:
        return opened.read(0, opened.size)


def by_qemu(path: Path) -> bytes:
    return read_by_qemu(path, "luks", QEMU.keys)


def test_a_new_disk_reads_as_zeros_for_qemu_too(blank: Path) -> None:
    assert read(blank) == bytes(SIZE) == by_qemu(blank)


@pytest.mark.parametrize("size", [0, 512, 4096, MIB + 512])
def test_disks_of_any_size_are_converted(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "source.raw", tmp_path / "target.luks"
    content = disk()[:size]
    source.write_bytes(content)
    done = virtkit.convert(
        str(source), str(target), source_format="raw", target_format="luks", options=QUICK, secret=SECRET, verify=True
    )
    assert done.size == size
    assert read(target) == content
    assert not size or by_qemu(target) == content
    measured = virtkit.measure(str(source), source_format="raw", target_format="luks")
    assert measured == (target.stat().st_size, target.stat().st_size, None)


@pytest.mark.parametrize("options", [{}, {"cipher-alg": "aes-128", "cipher-mode": "cbc"}])
def test_measures_as_qemu_does(options: dict[str, str]) -> None:
    words = ",".join(f"{name}={value}" for name, value in {"key-secret": "key", "iter-time": "10", **options}.items())
    told = run("qemu-img", "measure", *QEMU.keys, "-O", "luks", "-o", words, "--size", "1048576")
    measured = virtkit.measure(None, size=MIB, target_format="luks", options=options)
    assert told == f"required size: {measured.required}\nfully allocated size: {measured.fully_allocated}\n"


@settings(
    max_examples=deep(8),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(script=steps())
def test_a_disk_reads_what_was_done_to_it(blank: Path, script: list[Step]) -> None:
    path, model = copied(blank.parent) / blank.name, Model(bytes(SIZE))
    with virtkit.open(str(path), "r+", "luks", Access(secret=SECRET)) as opened:
        for step in script:
            if step.verb != "reopen":
                model.follow(step, opened)
    assert read(path) == model.content
    assert not model.content or by_qemu(path) == model.content


def test_qemu_writes_into_it_and_it_is_read(blank: Path, tmp_path: Path) -> None:
    path = copied(blank.parent) / blank.name
    opened = f"driver=luks,key-secret=key,file.filename={path}"
    run("qemu-io", *QEMU.keys, "--image-opts", opened, "-c", "write -P 7 1k 100k", "-c", "write -P 9 299k 512")
    assert read(path) == by_qemu(path)
    assert read(path)[1024:1536] == b"\x07" * 512


def test_its_facts_need_no_passphrase_and_its_bytes_do(blank: Path) -> None:
    with virtkit.open(str(blank), "r", "luks") as opened:
        assert opened.layers[0].image.facts.encrypted
        with pytest.raises(ImageError, match=r"is encrypted \(LUKS\), and no key was given") as caught:
            opened.read(0, 512)
    assert caught.value.hint == "--key-file FILE"
    with pytest.raises(WrongKeyError, match="the passphrase is wrong"):
        read(blank, b"guessed")


def test_a_new_image_needs_a_passphrase(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the passphrase of the new image is missing") as caught:
        virtkit.create(str(tmp_path / "image.luks"), MIB, target_format="luks")
    assert caught.value.hint == "--new-key-file FILE"
    with pytest.raises(UsageError, match="iter-time is soon, expected milliseconds"):
        virtkit.create(str(tmp_path / "i.luks"), MIB, target_format="luks", options={"iter-time": "soon"}, secret=b"s")


def test_keys_are_added_and_removed(blank: Path) -> None:
    path = copied(blank.parent) / blank.name
    added = {"state": "active", "iter-time": "1", "encrypt.new-secret": "second"}
    assert amended(path, added) == ["key slot 1: filled"]
    assert read(path, b"second") == read(path) == by_qemu(path) == bytes(SIZE)
    removed = {"state": "inactive", "encrypt.old-secret": SECRET.decode()}
    assert amended(path, removed) == ["key slots of that passphrase: emptied"]
    assert read(path, b"second") == bytes(SIZE)
    with pytest.raises(WrongKeyError):
        read(path)
    with pytest.raises(UsageError, match="no key would be left"):
        amended(path, {"state": "inactive", "keyslot": "1"})
    with pytest.raises(UsageError, match="state is None, expected active or inactive"):
        amended(path, {"keyslot": "1"})


def amended(path: Path, options: dict[str, str]) -> list[str]:
    told: list[str] = []
    with virtkit.open(str(path), "r+", "luks", Access(secret=SECRET)) as opened:
        FORMAT.amend(opened.top, options, lambda event: told.append(event.text) if isinstance(event, Note) else None)
    return told


def test_a_header_that_is_cut_is_an_error(blank: Path, tmp_path: Path) -> None:
    whole = blank.read_bytes()
    chance = random.Random(1)
    for length in (6, 100, 591, 4096, len(whole) - SIZE - 1, *(chance.randrange(len(whole) - SIZE) for _ in range(5))):
        (tmp_path / "cut.luks").write_bytes(whole[:length])
        with pytest.raises(CorruptImageError):
            read(tmp_path / "cut.luks")
