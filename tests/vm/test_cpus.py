from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.cpuset import LIMIT
from virtkit.core.errors import UsageError
from virtkit.vm.cpus import format_cpus, parse_cpus


@given(st.frozensets(st.integers(0, LIMIT - 1), max_size=200))
def test_a_list_reads_back_as_it_was_written(cpus: frozenset[int]) -> None:
    assert parse_cpus(format_cpus(cpus)) == tuple(sorted(cpus))


@given(st.frozensets(st.integers(0, 40), min_size=1))
def test_the_spelling_is_the_shortest(cpus: frozenset[int]) -> None:
    runs = sum(cpu - 1 not in cpus for cpu in cpus)
    assert format_cpus(cpus).count(",") == runs - 1


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-1", "0-4294967295", "65536", "1,,2", "1;2", "٣", " 1"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="list of CPUs"):
        parse_cpus(text)
