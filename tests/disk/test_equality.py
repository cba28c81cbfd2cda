from __future__ import annotations

import mmap

from hypothesis import given
from hypothesis import strategies as st

from virtkit.disk import equality

SIZE = 8192


@given(content=st.binary(min_size=1, max_size=SIZE), changed=st.integers(0, SIZE - 1), length=st.integers(0, SIZE))
def test_only_the_first_bytes_are_compared(content: bytes, changed: int, length: int) -> None:
    one, other = mmap.mmap(-1, SIZE), mmap.mmap(-1, SIZE)
    one[: len(content)] = other[: len(content)] = content
    same = equality.comparer(one, other)
    assert same(SIZE)
    other[changed] ^= 1
    assert same(length) == (changed >= length) == (one[:length] == other[:length])
