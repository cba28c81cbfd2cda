"""Entries by the million: numpy's answers are those of loops, whatever the tables hold."""

from __future__ import annotations

import sys
from array import array
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from virtkit.disk import bulk
from virtkit.disk.file import File
from virtkit.disk.runs import runs, stored_table

if TYPE_CHECKING:
    from pathlib import Path

STEP = 0x10000
WORDS = st.sampled_from((0, 0, 0, 1, STEP, 2 * STEP, 3 * STEP, 1 << 63 | STEP, 1 << 63 | 2 * STEP, (1 << 64) - 1))


@settings(max_examples=deep(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tables=st.lists(st.lists(WORDS, min_size=64, max_size=64), min_size=1, max_size=6),
    order=st.lists(st.integers(0, 7), max_size=12),
)
def test_batches_tell_every_entry_of_every_table_in_order(
    tmp_path: Path, tables: list[list[int]], order: list[int]
) -> None:
    path = tmp_path / "tables"
    path.write_bytes(b"".join(stored_table(array("Q", table), endian="big") for table in tables))
    file = File.open(path)
    told: list[int] = []
    for batch in bulk.batches(file, [512 * index for index in order], 512):
        words = [0] * batch.stored.size
        for at, word in zip(batch.at.tolist(), batch.words.tolist(), strict=True):
            words[at] = word
        assert batch.first * 64 == len(told)
        assert array("Q", words).tobytes() == array("Q", bulk.as_numbers(batch.stored).tolist()).tobytes()
        told += words
    file.close()
    behind_the_end = [0] * 64
    assert told == [word for index in order for word in (tables[index] if index < len(tables) else behind_the_end)]


def test_a_batch_is_two_mebibytes_however_many_tables_there_are(tmp_path: Path) -> None:
    path = tmp_path / "tables"
    path.write_bytes(bytes(STEP))
    file = File.open(path)
    sizes = [batch.stored.nbytes for batch in bulk.batches(file, [0] * 100, STEP)]
    file.close()
    assert sizes == [2 << 20] * 3 + [4 * STEP]


@settings(max_examples=deep(100), deadline=None)
@given(numbers=st.lists(st.integers(0, 40) | st.integers(0, (1 << 64) - 1), max_size=60))
def test_numbers_are_tallied_as_a_counter_does(numbers: list[int]) -> None:
    once, times = bulk.tallied(np.array(numbers, np.uint64))
    repeated = [times] * len(once) if isinstance(times, int) else times.tolist()
    assert list(zip(once.tolist(), repeated, strict=True)) == sorted(Counter(numbers).items())


@settings(max_examples=deep(100), deadline=None)
@given(words=st.lists(WORDS, max_size=80))
def test_ramps_are_the_runs_of_the_loop(words: list[int]) -> None:
    stored = np.frombuffer(stored_table(array("Q", words), endian="big"), np.uint64)
    at = np.flatnonzero(stored)
    begins = bulk.ramps(at, bulk.as_numbers(stored[at]), STEP)
    expected = [run.begin for run in runs(array("Q", words), 0, len(words), STEP, (0,)) if run.stride]
    assert [int(at[begin]) for begin in begins] == expected


def test_numbers_are_swapped_where_the_machine_is_little_endian() -> None:
    assert bulk.as_numbers(np.array([1], np.uint64))[0] == (1 << 56 if sys.byteorder == "little" else 1)


@settings(max_examples=deep(50), deadline=None)
@given(ranges=st.lists(st.tuples(st.integers(0, 1 << 60), st.integers(1, 9)), max_size=20))
def test_ranges_are_spread_into_their_numbers(ranges: list[tuple[int, int]]) -> None:
    first, length = (np.array([pair[side] for pair in ranges], np.uint64) for side in (0, 1))
    told = bulk.spread(bulk.Ranges(first, length)).tolist()
    assert told == [number for begin, count in ranges for number in range(begin, begin + count)]


@settings(max_examples=deep(50), deadline=None)
@given(ranges=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), max_size=20))
def test_joined_ranges_are_the_same_numbers_and_none_goes_on_in_the_next(ranges: list[tuple[int, int]]) -> None:
    first, length = (np.array([pair[side] for pair in ranges], np.uint64) for side in (0, 1))
    found = bulk.joined(bulk.Ranges(first, length))
    assert bulk.spread(found).tolist() == bulk.spread(bulk.Ranges(first, length)).tolist()
    assert not (found.first[1:] == (found.first + found.length)[:-1]).any()


@settings(max_examples=deep(100), deadline=None)
@given(numbers=st.lists(st.integers(0, 9) | st.integers((1 << 64) - 4, (1 << 64) - 1), max_size=60))
def test_rows_are_the_same_numbers_and_none_goes_on_in_the_next(numbers: list[int]) -> None:
    found = bulk.rows(np.array(numbers, np.uint64))
    assert bulk.spread(found).tolist() == numbers
    assert not (found.first[1:] == (found.first + found.length)[:-1]).any()
