"""Compression, held against zlib and zstd themselves."""

from __future__ import annotations

import inspect
import io
import random
import threading
import tracemalloc
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import CorruptImageError, UsageError
from virtkit.disk import codecs
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    from virtkit.disk.format import Buffer

UNIT = 64 << 10
NAMES = ("zlib", "zstd", "vmdk")
BOMBS = {
    "zlib": lambda: zlib.compress(bytes(64 << 20))[2:],
    "vmdk": lambda: zlib.compress(bytes(64 << 20)),
    "zstd": lambda: zstandard.ZstdCompressor().compress(bytes(64 << 20)),
}


def whole(length: int = UNIT) -> Extent:
    return Extent(0, length, Kind.CODED, None, 0x5000)


def decode(name: str, stored: Buffer, unit: int = UNIT) -> bytes:
    return bytes(codecs.decoder(name, unit)(whole(unit), stored))


def far_apart(distance: int) -> bytes:
    """Two equal pieces of random bytes ``distance`` apart: a window of that size would find the second."""
    piece = random.Random(1).randbytes(1024)
    filler = random.Random(2).randbytes(distance - 1024)
    return (piece + filler + piece + bytes(UNIT))[:UNIT]


units = st.one_of(
    st.binary(min_size=1, max_size=64).map(lambda piece: (piece * (UNIT // len(piece) + 1))[:UNIT]),
    st.integers(0, UNIT).map(lambda count: random.Random(count).randbytes(count) + bytes(UNIT - count)),
    st.integers(1025, UNIT - 2048).map(far_apart),
)


@pytest.mark.parametrize("level", codecs.LEVELS)
@given(data=units)
def test_the_deflate_of_qcow2_is_read_by_an_inflate_of_4_kib_in_small_steps(level: str, data: bytes) -> None:
    coded = codecs.encoder("zlib", level)(data)
    if coded is None:
        return
    inflate = zlib.decompressobj(-12)
    pieces = [inflate.decompress(coded[at : at + 100]) for at in range(0, len(coded), 100)]
    assert b"".join(pieces) == data
    assert inflate.eof


@pytest.mark.parametrize("level", codecs.LEVELS)
@given(data=units)
def test_the_deflate_of_vmdk_is_a_zlib_stream(level: str, data: bytes) -> None:
    coded = codecs.encoder("vmdk", level)(data)
    assert coded is None or zlib.decompress(coded) == data


@pytest.mark.parametrize("level", codecs.LEVELS)
@given(data=units)
def test_zstd_frames_are_read_by_zstd(level: str, data: bytes) -> None:
    coded = codecs.encoder("zstd", level)(data)
    assert coded is None or zstandard.ZstdDecompressor().decompress(coded) == data


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("level", codecs.LEVELS)
def test_what_does_not_shrink_is_not_encoded(name: str, level: str) -> None:
    assert codecs.encoder(name, level)(random.Random(0).randbytes(UNIT)) is None
    assert codecs.encoder(name, level)(bytes(UNIT)) is not None


def test_smaller_levels_are_smaller() -> None:
    data = inspect.getsource(inspect).encode()[:UNIT]
    for name in NAMES:
        fast, default, best = (len(codecs.encoder(name, level)(data) or data) for level in codecs.LEVELS)
        assert fast > default >= best


@given(data=units, padding=st.binary(max_size=600))
def test_what_follows_the_stream_is_ignored(data: bytes, padding: bytes) -> None:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    assert decode("zlib", packer.compress(data) + packer.flush() + padding) == data
    assert decode("vmdk", zlib.compress(data) + padding) == data
    assert decode("zstd", zstandard.ZstdCompressor().compress(data) + padding) == data


@given(data=units)
def test_a_deflate_stream_without_its_end_is_read_where_the_unit_is_full(data: bytes) -> None:
    packer = zlib.compressobj(6, zlib.DEFLATED, -12)
    stream = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
    assert decode("zlib", stream) == data


@pytest.mark.parametrize("name", NAMES)
@given(stored=st.binary(max_size=3000))
def test_any_bytes_are_a_unit_or_an_error_with_their_place(name: str, stored: bytes) -> None:
    try:
        found = decode(name, stored)
    except CorruptImageError as error:
        problem: CorruptImageError | None = error
        found = b""
    else:
        problem = None
    assert len(found) == UNIT if problem is None else problem.offset == 0x5000


@pytest.mark.parametrize("name", NAMES)
def test_a_bomb_gives_one_unit_or_an_error_and_takes_no_more_memory(name: str) -> None:
    stored = BOMBS[name]()
    tracemalloc.start()
    try:
        assert decode(name, stored) == bytes(UNIT)
    except CorruptImageError:
        assert name == "zstd"  # its frame says how long it is
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4 << 20


def test_a_zstd_bomb_that_does_not_say_its_length_is_cut_off_too() -> None:
    stored = io.BytesIO()
    with zstandard.ZstdCompressor(write_content_size=False).stream_writer(stored, closefd=False) as writer:
        writer.write(bytes(64 << 20))
    with pytest.raises(CorruptImageError):
        decode("zstd", stored.getvalue())


def test_the_last_grain_of_a_vmdk_may_be_short_but_covers_what_is_asked() -> None:
    stored = zlib.compress(bytes(1000))
    short = codecs.decoder("vmdk", UNIT)
    assert len(short(whole(1000), stored)) == 1000
    with pytest.raises(CorruptImageError, match="1000 bytes decoded, expected 1001 bytes"):
        short(whole(1001), stored)


@pytest.mark.parametrize("name", NAMES)
def test_threads_share_a_coder(name: str) -> None:
    encode, decoder = codecs.encoder(name, "fast"), codecs.decoder(name, UNIT)
    results: list[bool] = []

    def work(seed: int) -> None:
        data = random.Random(seed).randbytes(1000) * 70
        for _ in range(20):
            coded = encode(data[:UNIT])
            results.append(coded is not None and bytes(decoder(whole(), coded)) == data[:UNIT])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80


def test_a_level_or_a_name_that_is_not_there_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="fast, default, best"):
        codecs.encoder("zlib", "max")
    with pytest.raises(UsageError, match="zlib, zstd"):
        codecs.encoder("lzma", "fast")


@pytest.mark.parametrize(("old", "new"), [("balanced", "default"), ("small", "best")])
def test_a_level_by_its_old_name_is_told_the_new_one(old: str, new: str) -> None:
    with pytest.raises(UsageError) as raised:
        codecs.require_level(old)
    assert raised.value.hint == f"--level {new}"
