from __future__ import annotations

import pytest

from virtkit.disk.copying.hands import Memory, gaps


@pytest.mark.parametrize("unit", [4096, 65536])
def test_zeros_are_found_by_units(unit: int) -> None:
    memory = Memory(512 << 10, unit)
    memory.memory[3 * unit + 17] = 1
    memory.memory[4 * unit] = 1
    assert memory.written(8 * unit - 512) == [(3 * unit, 5 * unit)]
    memory.memory[8 * unit - 513] = 1
    assert memory.written(8 * unit - 512) == [(3 * unit, 5 * unit), (7 * unit, 8 * unit - 512)]


def test_short_runs_of_zeros_may_count_as_data() -> None:
    memory = Memory(64 << 10, 4096, sparse=8192)
    for block in (0, 2, 5):
        memory.memory[block * 4096] = 1
    assert memory.written(64 << 10) == [(0, 3 * 4096), (5 * 4096, 6 * 4096)]


def test_all_may_count_as_data() -> None:
    assert Memory(64 << 10, 4096, sparse=0).written(12345) == [(0, 12345)]


def test_gaps_are_what_runs_leave() -> None:
    assert list(gaps([(2, 3), (5, 7)], 9)) == [(0, 2), (3, 5), (7, 9)]
    assert list(gaps([(0, 9)], 9)) == []
    assert list(gaps([], 9)) == [(0, 9)]
