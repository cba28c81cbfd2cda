from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import MachineError
from virtkit.vm import png


def unpacked(picture: bytes) -> tuple[int, int, bytes]:
    """Width, height and the lines, still filtered, of an 8-bit RGB picture; checksums and lengths are checked."""
    assert picture.startswith(png.SIGNATURE)
    at, header, data = len(png.SIGNATURE), b"", b""
    while at < len(picture):
        (length,) = struct.unpack_from(">I", picture, at)
        kind, body = picture[at + 4 : at + 8], picture[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", picture, at + 8 + length) == (zlib.crc32(kind + body),)
        header, data = (body, data) if kind == b"IHDR" else (header, data + (body if kind == b"IDAT" else b""))
        at += 12 + length
    width, height, *rest = struct.unpack(">IIBBBBB", header)
    assert rest == [8, 2, 0, 0, 0]
    lines = zlib.decompress(data)
    assert len(lines) == height * (3 * width + 1)
    return width, height, lines


def pixels(picture: bytes) -> tuple[int, int, bytes]:
    """With any of PNG's five filters."""
    width, height, lines = unpacked(picture)
    line = 3 * width
    done, above = bytearray(), bytes(line)
    for row in range(height):
        start = row * (line + 1)
        above = _unfiltered(lines[start], lines[start + 1 : start + 1 + line], above)
        done += above
    return width, height, bytes(done)


def _unfiltered(kind: int, line: bytes, above: bytes) -> bytes:
    done = bytearray(line)
    for at in range(len(line)):
        left, upper = (done[at - 3] if at >= 3 else 0), above[at]
        corner = above[at - 3] if at >= 3 else 0
        nearest = min((left, upper, corner), key=lambda value: abs(left + upper - corner - value))
        done[at] = (line[at] + (0, left, upper, (left + upper) // 2, nearest)[kind]) & 255
    return bytes(done)


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_a_ppm_becomes_a_png_of_the_same_pixels(width: int, height: int, data: st.DataObject) -> None:
    drawn = data.draw(st.binary(min_size=3 * width * height, max_size=3 * width * height))
    made = png.of_ppm(b"P6\n# by QEMU\n%d %d\n255\n" % (width, height) + drawn)
    assert pixels(made) == (width, height, drawn)
    assert png.size(made) == (width, height)


@pytest.mark.parametrize("wrong", [b"", b"GIF89a", b"P6\n2 2\n255\n123", b"P6\n1 1\n65535\n123456", b"P5\n1 1\n255\n1"])
def test_what_is_no_whole_picture_is_refused(wrong: bytes) -> None:
    with pytest.raises(MachineError, match="screenshot"):
        png.of_ppm(wrong)
