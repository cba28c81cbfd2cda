"""Ciphers, held against QEMU's: what it encrypts is decrypted here, and what is encrypted here it decrypts."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import KIB, MIB, run
from virtkit.core.errors import CorruptImageError, NotSupportedError, UsageError, WrongKeyError
from virtkit.core.units import SECTOR
from virtkit.disk import cipher
from virtkit.disk.cipher import algorithms, header, keys, modes, vectors
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.qemu

SECRET = b"a passphrase, and not a short one"
SIZE = 300 * KIB
VOLUMES: tuple[dict[str, str], ...] = (
    {},
    {"cipher-alg": "aes-128", "cipher-mode": "cbc", "ivgen-alg": "plain", "hash-alg": "sha1"},
    {"cipher-mode": "cbc", "ivgen-alg": "essiv", "ivgen-hash-alg": "sha256"},
    {"cipher-alg": "aes-192", "hash-alg": "sha384"},
    {"cipher-mode": "ecb", "hash-alg": "sha512"},
)
OURS = (  # besides: QEMU needs seconds to make a volume
    {"cipher-alg": "aes-128"},
    {"cipher-alg": "aes-128", "cipher-mode": "cbc", "ivgen-alg": "essiv"},
    {"ivgen-alg": "plain", "hash-alg": "sha224"},
    {"hash-alg": "ripemd160"},
)


def options_of(volume: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in volume.items())


class Qemu:
    """QEMU's tools with a key file, on a plain LUKS image."""

    def __init__(self, folder: Path, secret: bytes = SECRET) -> None:
        self.image, self.key = folder / "image.luks", folder / "key"
        self.key.write_bytes(secret)

    def run(self, tool: str, command: str, *words: str | Path) -> str:
        return run(tool, command, "--object", f"secret,id=key,file={self.key}", *words)

    @property
    def opened(self) -> str:
        return f"driver=luks,key-secret=key,file.filename={self.image}"

    def create(self, volume: dict[str, str], size: int = SIZE) -> None:
        options = options_of({"key-secret": "key", "iter-time": "10", **volume})
        self.run("qemu-img", "create", "-q", "-f", "luks", "-o", options, self.image, str(size))

    def write(self, data: bytes) -> None:
        source = self.image.with_suffix(".source")
        source.write_bytes(data)
        target = ("-n", "--target-image-opts", self.opened)
        self.run("qemu-img", "convert", "-f", "raw", source, *target)

    def read(self) -> bytes:
        back = self.image.with_suffix(".back")
        self.run("qemu-img", "convert", "-U", "--image-opts", self.opened, "-O", "raw", back)
        return back.read_bytes()


class Made(NamedTuple):
    volume: dict[str, str]
    path: Path  # not to be changed


@pytest.fixture(scope="module", params=VOLUMES, ids=lambda volume: options_of(volume) or "default")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    qemu = Qemu(tmp_path_factory.mktemp("luks"))
    qemu.create(request.param)
    qemu.write(guest_data())
    return Made(request.param, qemu.image)


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Path:
    qemu = Qemu(tmp_path_factory.mktemp("default"))
    head, sectors = cipher.create_luks(SECRET, iter_time=10)
    qemu.image.write_bytes(head + sectors.encrypt(0, guest_data()))
    assert qemu.read() == guest_data()
    return qemu.image


@pytest.fixture
def qemu(tmp_path: Path) -> Qemu:
    return Qemu(tmp_path)


@pytest.fixture
def opened(qemu: Qemu, default: Path) -> Iterator[File]:
    """A default volume that is open for writing; ``qemu`` reads it too."""
    shutil.copyfile(default, qemu.image)
    file = File.open(qemu.image, writable=True)
    yield file
    file.close()


def qemu_facts(image: Path) -> dict[str, object]:
    data: dict[str, object] = json.loads(run("qemu-img", "info", "--output", "json", image))["format-specific"]["data"]
    return data


def slots_of(told: dict[str, object]) -> list[dict[str, object]]:
    slots = told["slots"]
    assert isinstance(slots, list)
    return slots


def guest_data() -> bytes:
    return random.Random(9).randbytes(SIZE - 64 * KIB) + bytes(64 * KIB)


def names(volume: dict[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in volume.items()}


def unlocked(file: File, secret: bytes = SECRET) -> cipher.Cipher:
    return cipher.open_luks(file, 0, file.size, secret)


def refuses(file: File, secret: bytes) -> bool:
    try:
        unlocked(file, secret)
    except WrongKeyError:
        return True
    return False


def poke(path: Path, at: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)


def test_reads_what_qemu_encrypted(made: Made) -> None:
    file = File.open(made.path)
    payload = cipher.payload_offset(file, 0)
    assert unlocked(file).decrypt(0, file.read(payload, SIZE)) == guest_data()
    assert unlocked(file).decrypt(3, file.read(payload + 3 * SECTOR, SECTOR)) == guest_data()[3 * SECTOR : 4 * SECTOR]
    file.close()


@pytest.mark.parametrize("volume", [*VOLUMES, *OURS], ids=options_of)
def test_qemu_reads_what_is_encrypted_here(qemu: Qemu, volume: dict[str, str]) -> None:
    head, sectors = cipher.create_luks(SECRET, **names(volume), iter_time=10)
    data = guest_data()
    qemu.image.write_bytes(head + sectors.encrypt(0, data[:SECTOR]) + sectors.encrypt(1, data[SECTOR:]))
    assert qemu.read() == data


def test_tells_the_facts_that_qemu_tells(made: Made) -> None:
    file = File.open(made.path)
    assert cipher.facts(file, 0) == qemu_facts(made.path)
    file.close()


def test_a_header_made_here_is_laid_out_as_qemu_does(made: Made, tmp_path: Path) -> None:
    head, _ = cipher.create_luks(SECRET, **names(made.volume), iter_time=10)
    ours = tmp_path / "ours.luks"
    ours.write_bytes(head)
    by_qemu, by_virtkit = qemu_facts(made.path), qemu_facts(ours)
    for told in (by_qemu, by_virtkit):
        del told["uuid"], told["master-key-iters"], slots_of(told)[0]["iters"]
    assert by_virtkit == by_qemu
    assert len(head) == by_qemu["payload-offset"]
    chosen = {name: value for name, value in names(made.volume).items() if name in {"cipher_alg", "cipher_mode"}}
    assert cipher.header_size(**chosen) == len(head)


def test_a_wrong_passphrase_is_an_error_with_the_way_out(opened: File) -> None:
    with pytest.raises(WrongKeyError, match="the passphrase is wrong: it opens none of the key slots") as caught:
        unlocked(opened, b"guessed")
    assert caught.value.hint == "--key-file FILE"


def test_an_added_key_opens_the_volume_for_qemu_too(qemu: Qemu, opened: File, tmp_path: Path) -> None:
    assert cipher.add_key(opened, 0, SECRET, b"second", iter_time=10) == 1
    assert cipher.add_key(opened, 0, b"second", b"third", slot=6, iter_time=10) == 6
    other = Qemu(tmp_path, b"third")
    assert other.read() == guest_data()
    assert [slot["active"] for slot in slots_of(qemu_facts(qemu.image))] == [True, True, *[False] * 4, True, False]


def test_a_removed_key_opens_nothing_for_qemu_either(qemu: Qemu, opened: File, tmp_path: Path) -> None:
    cipher.add_key(opened, 0, SECRET, b"second", iter_time=10)
    cipher.remove_key(opened, 0, SECRET)
    with pytest.raises(AssertionError, match="Invalid password"):
        Qemu(tmp_path, SECRET).read()
    assert refuses(opened, SECRET)
    assert Qemu(tmp_path, b"second").read() == guest_data()


def test_a_removed_key_leaves_no_key_material(qemu: Qemu, opened: File) -> None:
    cipher.add_key(opened, 0, SECRET, b"second", iter_time=10)
    before = header.read(opened, 0, opened.size)
    at = before.slots[0].material_offset * SECTOR
    material = opened.read(at, before.material_size)
    cipher.remove_key(opened, 0, slot=0)
    after = opened.read(at, before.material_size)
    assert not any(after[n : n + 64] == material[n : n + 64] for n in range(0, len(after), 64))


def test_the_last_key_stays_unless_that_is_forced(opened: File) -> None:
    for doomed in ({"secret": SECRET}, {"slot": 0}, {"secret": SECRET, "slot": 0}):
        with pytest.raises(UsageError, match="no key would be left"):
            cipher.remove_key(opened, 0, **doomed)
    assert not refuses(opened, SECRET)
    cipher.remove_key(opened, 0, slot=0, force=True)
    assert refuses(opened, SECRET)


def test_a_slot_goes_only_with_its_own_passphrase(opened: File) -> None:
    cipher.add_key(opened, 0, SECRET, b"second", iter_time=10)
    with pytest.raises(WrongKeyError, match="it does not open key slot 0"):
        cipher.remove_key(opened, 0, b"second", slot=0)
    with pytest.raises(WrongKeyError, match="it opens none of the key slots"):
        cipher.remove_key(opened, 0, b"third")
    cipher.remove_key(opened, 0, b"second", slot=1)
    assert refuses(opened, b"second")


def test_one_passphrase_in_two_slots_goes_from_both(opened: File) -> None:
    cipher.add_key(opened, 0, SECRET, b"second", iter_time=10)
    cipher.add_key(opened, 0, SECRET, b"second", slot=5, iter_time=10)
    cipher.remove_key(opened, 0, b"second")
    assert refuses(opened, b"second")
    assert not refuses(opened, SECRET)


def test_slots_that_are_taken_empty_or_not_there_are_told(opened: File) -> None:
    with pytest.raises(UsageError, match="key slot 0 is in use"):
        cipher.add_key(opened, 0, SECRET, b"second", slot=0)
    with pytest.raises(UsageError, match="key slot 3 is empty already"):
        cipher.remove_key(opened, 0, slot=3)
    with pytest.raises(UsageError, match="key slot is 8, expected 0 to 7"):
        cipher.add_key(opened, 0, SECRET, b"second", slot=8)
    with pytest.raises(UsageError, match="which key shall go is not said"):
        cipher.remove_key(opened, 0)
    for _ in range(7):
        cipher.add_key(opened, 0, SECRET, SECRET, iter_time=10)
    with pytest.raises(UsageError, match="all 8 key slots are in use"):
        cipher.add_key(opened, 0, SECRET, b"second")


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"cipher_alg": "serpent-256"}, "cipher is serpent, which no maintained Python library offers"),
        ({"cipher_alg": "cast5-128"}, "cipher is cast5, which no maintained"),
        ({"cipher_alg": "aes-512"}, "length of the master key is 128, expected 32, 48 or 64"),
        ({"cipher_mode": "ctr"}, "cipher mode is ctr, expected xts, cbc or ecb"),
        ({"ivgen_alg": "benbi"}, "IV generator is benbi, expected plain, plain64 or essiv"),
        ({"ivgen_alg": "essiv", "ivgen_hash_alg": "sha1"}, "hash of the IV generator is sha1, expected md5 or sha256"),
        ({"hash_alg": "whirlpool"}, "hash is whirlpool, expected "),
    ],
)
def test_what_cannot_be_had_is_named(chosen: dict[str, str], said: str) -> None:
    with pytest.raises(NotSupportedError, match=said):
        cipher.create_luks(SECRET, **chosen, iter_time=10)


def test_options_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="cipher-alg is aes, expected aes-128, aes-192 or aes-256"):
        cipher.create_luks(SECRET, cipher_alg="aes")
    with pytest.raises(UsageError, match="iter-time is 0 ms, expected at least 1"):
        cipher.create_luks(SECRET, iter_time=0)


def test_serpent_volumes_of_others_are_refused_with_the_reason(qemu: Qemu, opened: File) -> None:
    poke(qemu.image, header.Header.offset_of("cipher_name"), b"serpent\0")
    with pytest.raises(NotSupportedError, match="cipher is serpent, which no maintained Python library offers"):
        unlocked(opened)


@pytest.mark.parametrize("field", ["iterations", "digest_iterations"])
def test_iterations_without_end_are_refused_at_once(qemu: Qemu, opened: File, field: str) -> None:
    slot = header.slot_at(0) + header.Slot.offset_of("iterations")
    poke(qemu.image, slot if field == "iterations" else header.Header.offset_of(field), b"\xff" * 4)
    started = time.process_time()
    with pytest.raises(CorruptImageError, match=r"iterations of key slot 0 is .*, expected at most 200000000 steps"):
        unlocked(opened, b"guessed")
    assert time.process_time() - started < 1


@pytest.mark.parametrize("name", [*header.Header._offsets, *(f"slot {name}" for name in header.Slot._offsets)])
def test_any_number_in_the_header_is_refused_or_harmless(qemu: Qemu, opened: File, name: str) -> None:
    at = header.slot_at(0) + header.Slot.offset_of(name[5:]) if name[4:5] == " " else header.Header.offset_of(name)
    for value in (b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\0\1\0\0"):
        before = opened.read(at, 4)
        poke(qemu.image, at, value)
        with contextlib.suppress(CorruptImageError, NotSupportedError, WrongKeyError):
            unlocked(opened)
        poke(qemu.image, at, before)
    assert not refuses(opened, SECRET)


def test_a_header_that_is_cut_short_is_corrupt(qemu: Qemu, opened: File) -> None:
    for length in (0, 100, header.Header.SIZE - 1, 4096, MIB):
        with pytest.raises(CorruptImageError):
            cipher.open_luks(opened, opened.size - length, length, SECRET)
        with pytest.raises(CorruptImageError):
            cipher.open_luks(opened, 0, length, SECRET)


@pytest.mark.parametrize("key_size", [16, 24, 32])
@pytest.mark.parametrize("name", ["sha1", "sha256", "sha512"])
def test_a_split_key_is_merged_again(key_size: int, name: str) -> None:
    chosen = algorithms.Algorithms("aes", key_size, "cbc", "plain64", None, name)
    key = random.Random(key_size).randbytes(key_size)
    assert keys.merge(chosen, keys.split(chosen, key)) == key


@pytest.mark.parametrize("mode", ["xts", "cbc", "ecb"])
@given(first=st.integers(0, 2**64 - 64), count=st.integers(1, 40), cut=st.integers(0, 40), seed=st.integers(0, 9))
@settings(max_examples=deep(15), deadline=None)
def test_many_sectors_at_once_are_as_one_by_one(mode: str, first: int, count: int, cut: int, seed: int) -> None:
    """One by one is how the library has it."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB, XTS

    one_by_one: dict[str, Callable[[bytes], XTS | CBC | ECB]] = {"xts": XTS, "cbc": CBC, "ecb": lambda _: ECB()}
    chance = random.Random(seed)
    key, data = chance.randbytes(32), chance.randbytes(count * SECTOR)
    all_at_once = [cipher.Cipher(algorithms.MODES[mode](key), vectors.plain64)]
    if mode == "xts":
        all_at_once.append(cipher.Cipher(modes.Xts(key, much=0), vectors.plain64))  # by numpy
    alone = []
    for number in range(count):
        chosen = one_by_one[mode](struct.pack("<QQ", first + number, 0))
        block = data[number * SECTOR : (number + 1) * SECTOR]
        alone.append(Cipher(AES(key), chosen).encryptor().update(block))
    coded = b"".join(alone)
    edge = min(cut, count) * SECTOR
    for sectors in all_at_once:
        assert sectors.encrypt(first, data) == coded
        assert sectors.decrypt(first, coded[:edge]) + sectors.decrypt(first + edge // SECTOR, coded[edge:]) == data


def test_plain_vectors_start_again_after_two_tebibytes() -> None:
    last = (1 << 32) - 1
    assert vectors.plain(last, 2) == struct.pack("<QQQQ", last, 0, 0, 0)
    assert vectors.plain64(last, 2) == struct.pack("<QQQQ", last, 0, last + 1, 0)


@pytest.mark.parametrize("secret", [b"short", b"exactly 16 bytes", b"longer than sixteen bytes"])
def test_legacy_aes_is_what_qemu_writes(tmp_path: Path, secret: bytes) -> None:
    """The only data of the image is somewhere in its file, encrypted as sectors 128 and on of the guest."""
    image, key = tmp_path / "image.qcow", tmp_path / "key"
    key.write_bytes(secret)
    secret_object = ("--object", f"secret,id=key,file={key}")
    options = "encrypt.format=aes,encrypt.key-secret=key"
    run("qemu-img", "create", "-q", "-f", "qcow", *secret_object, "-o", options, image, "1M")
    opened = f"driver=qcow,encrypt.format=aes,encrypt.key-secret=key,file.filename={image}"
    run("qemu-io", *secret_object, "--image-opts", opened, "-c", "write -P 77 64k 4k")
    data, sectors = image.read_bytes(), cipher.legacy_aes(secret)
    plain = b"M" * 4096
    assert plain in [sectors.decrypt(128, data[at : at + 4096]) for at in range(0, len(data), 4096)]
    assert sectors.encrypt(128, plain) in data
