"""The disk that golden images hold: a little of everything, and small when it is compressed."""

from __future__ import annotations

import random

KIB, MIB = 1 << 10, 1 << 20
SIZE = 5 * MIB + 7 * 512  # bytes; no multiple of any cluster
CHUNK = 32 * KIB


def disk() -> bytes:
    """Text, few random bytes, zeros in holes of every size; the same every time."""
    chance = random.Random(2026)
    data = bytearray(SIZE)
    at = 0
    while at < SIZE:
        length = min(512 * chance.randrange(1, 400), SIZE - at)
        kind = chance.randrange(6)
        if kind < 3:
            line = b"%08x %s\n" % (at, bytes(chance.choices(b"abcdefgh", k=23)))
            data[at : at + length] = (line * (length // len(line) + 1))[:length]
        elif kind == 3:
            few = min(length, 2 * KIB)
            data[at : at + few] = chance.randbytes(few)
        at += length
    return bytes(data)
