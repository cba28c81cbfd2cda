"""A refcount block, held against a list of counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from virtkit.disk.formats.qcow2.block import Block

SIZE = 512  # bytes of a block


@st.composite
def stretches(draw: st.DrawFn, entries: int) -> tuple[int, int]:
    first = draw(st.integers(0, entries - 1))
    return first, draw(st.integers(first + 1, entries))


@given(order=st.integers(0, 6), data=st.data())
def test_counts_are_added_to_packed_and_searched_like_a_list(order: int, data: st.DataObject) -> None:
    entries = SIZE * 8 >> order
    block, model = Block(bytes(SIZE), order), [0] * entries
    for _ in range(data.draw(st.integers(0, 12))):
        first, last = data.draw(stretches(entries))
        change = data.draw(st.sampled_from((1, 1, -1, 2)))
        after = [count + change for count in model[first:last]]
        fits = min(after) >= 0 and max(after) < 1 << (1 << order)
        assert block.add(first, last, change) == fits
        if fits:
            model[first:last] = after
    assert Block(block.pack(), order).part(0, entries).tolist() == model
    first, last = data.draw(stretches(entries))
    free = [index for begin, end in block.free_runs(first, last) for index in range(begin, end)]
    assert free == [index for index in range(first, last) if not model[index]]
    run = block.free_run(first, 5)
    expected = next((index for index in range(first, entries) if not model[index]), None)
    assert (run[0] if run else None) == expected
    if run:
        assert not any(model[run[0] : run[1]])
        assert run[1] - run[0] == 5 or run[1] == entries or model[run[1]]


@given(order=st.integers(0, 6))
def test_a_copy_goes_its_own_way(order: int) -> None:
    block = Block(bytes(SIZE), order)
    twin = block.copy()
    assert twin.add(3, 5, 1)
    assert (block[3], twin[3]) == (0, 1)
    assert list(block.free_runs(0, 8)) == [(0, 8)]
    assert list(twin.free_runs(0, 8)) == [(0, 3), (5, 8)]
