"""A picture as PNG: https://www.w3.org/TR/png-3/, 8-bit RGB, one IDAT, no filters."""

from __future__ import annotations

import re
import struct
import zlib

from virtkit.core.errors import MachineError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB, _DEPTH, _MOST = 2, 8, 255
_PPM = re.compile(rb"P6(?:\s+#[^\n]*)*\s+(\d+)\s+(\d+)\s+(\d+)\s")  # https://netpbm.sourceforge.net/doc/ppm.html


def of_ppm(picture: bytes) -> bytes:
    """What QEMU before 7.1 draws; MachineError for anything but a whole binary PPM with a byte for each colour."""
    head = _PPM.match(picture)
    if head is None:
        raise MachineError(f"screenshot: begins with {picture[:8]!r}, expected PNG or PPM")
    width, height, most = (int(number) for number in head.groups())
    pixels = memoryview(picture)[head.end() :]
    if most != _MOST or len(pixels) < 3 * width * height:
        raise MachineError(f"screenshot: PPM of {len(pixels)} bytes, up to {most}, expected {3 * width * height}, 255")
    line = 3 * width
    rows = b"".join(b"\0" + pixels[at : at + line] for at in range(0, line * height, line))
    header = struct.pack(">IIBBBBB", width, height, _DEPTH, _RGB, 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def size(picture: bytes) -> tuple[int, int]:
    """Width and height of a PNG, from its header."""
    width, height = struct.unpack_from(">II", picture, len(SIGNATURE) + 8)
    return width, height


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
