"""Two buffers held against each other by memcmp(3): other threads run meanwhile, as they do not for ``==``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap


def comparer(one: mmap, other: mmap) -> Callable[[int], bool]:
    """Tells whether the first so many bytes of both are the same. Neither can be closed while this is in use."""
    import ctypes  # 2 ms, which only a comparison pays

    memcmp = ctypes.CDLL(None).memcmp
    left, right = (ctypes.c_char.from_buffer(buffer) for buffer in (one, other))

    def same(length: int) -> bool:
        different: int = memcmp(ctypes.byref(left), ctypes.byref(right), ctypes.c_size_t(length))
        return not different

    return same
