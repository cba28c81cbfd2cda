from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING

import pytest

from support.images import Specimen
from virtkit import disk
from virtkit.disk.decoded import Decoded
from virtkit.disk.format import Extent, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.disk.chain import Chain
    from virtkit.disk.format import Buffer

UNIT = 64 << 10  # bytes


class Decoder:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, extent: Extent, stored: Buffer) -> Buffer:
        self.asked += 1
        return zlib.decompress(stored)


def part(decode: Decoder, unit: int, skip: int = 0, length: int = 512) -> Extent:
    return Extent(unit * UNIT + skip, length, Kind.CODED, None, unit * UNIT, 100, skip, decode)


def coded(text: bytes) -> bytes:
    return zlib.compress(text.ljust(UNIT, b"\0"))


def test_parts_of_a_unit_decode_it_once() -> None:
    decode, kept = Decoder(), Decoded()
    for skip in range(0, UNIT, 512):
        unit = kept.unit(part(decode, 0, skip), coded(b"one"), decode)
        assert bytes(unit[:4]) == b"one\0"
    assert decode.asked == 1


def test_other_stored_bytes_are_decoded_anew() -> None:
    decode, kept = Decoder(), Decoded()
    for text in (b"old", b"new", b"old"):
        assert bytes(kept.unit(part(decode, 0), coded(text), decode)[:3]) == text
    assert decode.asked == 3


def test_the_same_bytes_elsewhere_are_another_unit() -> None:
    """An encrypted sector depends on where it is."""
    decode, kept = Decoder(), Decoded()
    kept.unit(part(decode, 0), coded(b"x"), decode)
    kept.unit(part(decode, 1), coded(b"x"), decode)
    assert decode.asked == 2


def test_what_was_not_used_for_longest_goes_first() -> None:
    decode, kept = Decoder(), Decoded(limit=3 * (UNIT + 200))
    for unit in (0, 1, 2, 0, 3):  # 1 goes
        kept.unit(part(decode, unit), coded(b"x"), decode)
    assert decode.asked == 4
    for unit in (0, 2, 3):
        kept.unit(part(decode, unit), coded(b"x"), decode)
    assert decode.asked == 4
    kept.unit(part(decode, 1), coded(b"x"), decode)
    assert decode.asked == 5


def test_a_unit_above_the_limit_is_not_kept() -> None:
    decode, kept = Decoder(), Decoded(limit=UNIT // 2)
    for _ in range(2):
        kept.unit(part(decode, 0), coded(b"x"), decode)
    assert decode.asked == 2


def test_whole_units_are_not_kept() -> None:
    """Who reads from front to end would fill memory with what nobody asks for again."""
    decode, kept = Decoder(), Decoded()
    for _ in range(2):
        kept.unit(part(decode, 0, length=UNIT), coded(b"x"), decode)
    assert decode.asked == 2


@pytest.mark.qemu
@pytest.mark.parametrize("format_", ["qcow2 -c", "vmdk -o subformat=streamOptimized"])
def test_threads_read_one_compressed_disk_alike(format_: str, tmp_path: Path) -> None:
    name, _, options = format_.partition(" ")
    image, wanted = Specimen(name, options).make(tmp_path)
    wrong: list[int] = []

    def read_all(chain: Chain, step: int) -> None:
        wrong.extend(at for at in range(0, len(wanted), step) if chain.read(at, step) != wanted[at : at + step])

    with disk.open(str(image)) as chain:
        threads = [threading.Thread(target=read_all, args=(chain, step)) for step in (700, 4096, 4096, 100_000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
