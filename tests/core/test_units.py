from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from virtkit.core.errors import UsageError
from virtkit.core.units import GIB, MIB, divide_up, format_size, is_power_of_two, parse_size, round_down, round_up

SIZES = st.integers(0, 2**63 - 1)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("512B", 512), ("10G", 10 * GIB), ("10g", 10 * GIB), ("1.5 GiB", 3 * GIB // 2),
     ("2MB", 2 * MIB), (" 1k ", 1024), ("1kIb", 1024), ("1.1K", 1126), ("7.5E", 15 << 59)],
)  # fmt: skip
def test_sizes_are_1024_based(text: str, size: int) -> None:
    assert parse_size(text) == size


NO_SIZES = ["", "G", "-1", "1 2", "1.", ".5G", "0x10", "1Q", "1e3", "8E", "9" * 20, "١", "1kıb", "1Ki", "1.5.5", "1G B"]


@pytest.mark.parametrize("text", NO_SIZES)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="size is"):
        parse_size(text)


@given(st.integers(0, 7 << 60))
@example(1152)
def test_a_printed_size_is_right_to_three_digits(size: int) -> None:
    assert abs(parse_size(format_size(size)) - size) <= size * 0.005 + 1  # read as whole bytes


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024 * 1000, "0.977 MiB"), (1024, "1 KiB"), (10 * GIB, "10 GiB"),
     (1023 * MIB, "0.999 GiB"), (999 * MIB, "999 MiB"), (1400 * MIB, "1.37 GiB"), (2**63 - 1, "8 EiB")],
)  # fmt: skip
def test_sizes_are_printed_with_three_digits(size: int, text: str) -> None:
    assert format_size(size) == text


@given(SIZES, st.integers(1, 2**40))
def test_rounding_meets_the_value_from_both_sides(value: int, unit: int) -> None:
    assert round_down(value, unit) <= value <= round_up(value, unit) < value + unit
    assert round_up(value, unit) == divide_up(value, unit) * unit


@given(st.integers(-10, 2**64))
def test_powers_of_two_have_one_bit(value: int) -> None:
    assert is_power_of_two(value) == (value > 0 and value.bit_count() == 1)
