"""XTS by numpy: the tweaks of all blocks at once, and XOR at the speed of memory. Source: IEEE 1619-2007, 5.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from virtkit.core.units import SECTOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

_BLOCKS = SECTOR // 16
_POWERS = 2 ** np.arange(_BLOCKS, dtype=np.uint64)  # block n of a sector has the tweak of the first, times x^n
_POLYNOMIAL = tuple(map(np.uint64, (1 << 1, 1 << 2, 1 << 7)))  # x^128 is x^7 + x^2 + x + 1


def each(work: Callable[[bytes, bytes], bytes], firsts: bytes, data: bytes) -> bytes:
    """``firsts``: the encrypted vectors of the sectors of ``data``."""
    tweaks = _tweaks(np.frombuffer(firsts, "<u8"))
    mixed = np.frombuffer(data, "<u8") ^ tweaks
    np.bitwise_xor(np.frombuffer(work(b"", mixed.tobytes()), "<u8"), tweaks, out=mixed)
    return mixed.tobytes()


def _tweaks(firsts: Words) -> Words:
    """Of all blocks, in the order of the data: shifted left, with what falls off brought back by the polynomial.

    numpy multiplies several words at once, and shifts them one by one: nothing is shifted here.
    """
    low, high = firsts[0::2, None], firsts[1::2, None]
    fallen = _fallen(high)
    back = fallen.copy()
    for power in _POLYNOMIAL:
        back ^= fallen * power
    tweaks = np.empty((len(low), _BLOCKS, 2), np.uint64)
    np.bitwise_xor(low * _POWERS, back, out=tweaks[:, :, 0])
    np.bitwise_or(high * _POWERS, _fallen(low), out=tweaks[:, :, 1])
    return tweaks.reshape(-1)


def _fallen(words: Words) -> Words:
    """The bits that leave a word of 64 bits on the left, of which there are less than 32."""
    return np.asarray(_upper(_upper(words) * _POWERS))


def _upper(words: Words) -> Words:
    """The upper halves."""
    return np.ascontiguousarray(words).view("<u4")[:, 1::2].astype(np.uint64)
