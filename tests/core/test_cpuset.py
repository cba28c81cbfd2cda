from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.cpuset import LIMIT, format_list, parse_list, parse_mask
from virtkit.core.errors import UsageError

SETS = st.frozensets(st.integers(0, LIMIT - 1), max_size=200) | st.frozensets(st.integers(0, 130))


@given(SETS)
def test_a_list_reads_back_as_it_was_written(members: frozenset[int]) -> None:
    assert parse_list(format_list(members)) == members


@given(SETS)
def test_a_list_is_as_short_as_the_kernels(members: frozenset[int]) -> None:
    text = format_list(members)
    parts = text.split(",") if text else []
    assert len(parts) == len([member for member in members if member - 1 not in members])
    assert parts == sorted(parts, key=lambda part: int(part.split("-")[0]))


@given(SETS, st.integers(0, 4))
def test_a_mask_of_any_width_names_its_bits(members: frozenset[int], spare: int) -> None:
    number = sum(1 << member for member in members)
    words = max(min(number.bit_length() // 32 + 1 + spare, LIMIT // 32), 1)
    digits = f"{number:0{words * 8}x}"
    assert parse_mask(",".join(re.findall("." * 8, digits))) == members


def test_the_first_word_of_a_mask_may_be_short() -> None:
    assert parse_mask("3") == {0, 1}
    assert parse_mask("1,00000000") == {32}


@given(st.text(st.sampled_from("0123456789abcdefx,-/: \n"), max_size=12))
def test_any_text_is_a_set_or_wrong_usage(text: str) -> None:
    for parse in (parse_list, parse_mask):
        with suppress(UsageError):
            assert all(0 <= member < LIMIT for member in parse(text))


@pytest.mark.parametrize(
    "text", ["1-0", "0-4294967295", "65536", "-1", "1,", ",1", "1,,2", " 1", "1-", "a", "0-3:1/2", "١"]
)
def test_refuses_what_is_no_list(text: str) -> None:
    with pytest.raises(UsageError, match="list of CPUs"):
        parse_list(text)


@pytest.mark.parametrize("text", ["", "0x1", "g", "1,", ",1", "000000001", "1 2", "-1"])
def test_refuses_what_is_no_mask(text: str) -> None:
    with pytest.raises(UsageError, match="mask of CPUs"):
        parse_mask(text)


@pytest.mark.parametrize("text", ["0-4294967295", "0-9999999999", "f," * 5000 + "f", "9" * 1_000_000])
def test_a_huge_range_costs_neither_memory_nor_time(text: str) -> None:
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))\n"
        "from virtkit.core.errors import UsageError; from virtkit.core.cpuset import parse_list, parse_mask\n"
        "text = sys.stdin.read()\n"
        "for parse in (parse_list, parse_mask):\n"
        "    try: parse(text)\n"
        "    except UsageError as error: assert len(error.message) < 200, error.message\n"
        "    else: sys.exit(3)\n"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=text,
        text=True,
        check=False,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0
    assert time.monotonic() - start < 10
