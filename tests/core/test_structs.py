from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import CorruptImageError
from virtkit.core.structs import Struct, array, layout, u8, u16, u32, u64


@layout(">")
class Big(Struct):
    magic: Annotated[bytes, array(3)]
    small: u8
    middle: u16
    large: u32
    huge: u64


@layout("<")
class Little(Struct):
    value: u32


def test_fields_are_packed_without_padding_in_their_order() -> None:
    assert Big.SIZE == 18
    assert [Big.offset_of(name) for name in ("magic", "small", "middle", "large", "huge")] == [0, 3, 4, 6, 10]
    assert Big(b"abc", 1, 2, 3, 4).pack() == b"abc\x01\x00\x02\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x04"
    assert Little(1).pack() == b"\x01\x00\x00\x00"


@given(st.binary(min_size=18, max_size=40), st.integers(0, 22))
def test_what_is_parsed_packs_to_the_same_bytes(data: bytes, offset: int) -> None:
    if len(data) - offset >= Big.SIZE:
        assert Big.parse(data, offset).pack() == data[offset : offset + Big.SIZE]
    else:
        with pytest.raises(CorruptImageError, match=r"a\.img: Big is \d+ bytes long, expected 18 bytes"):
            Big.parse(data, offset, source="a.img")


def test_a_changed_field_is_a_new_record() -> None:
    assert replace(Little(1), value=7).pack() == b"\x07\x00\x00\x00"


def test_a_record_is_as_strict_about_its_fields_as_a_dataclass() -> None:
    for values, named in (((), {}), ((1, 2), {}), ((1,), {"value": 1}), ((), {"other": 1})):
        with pytest.raises(TypeError, match="Little"):
            Little(*values, **named)


def test_a_record_stays_as_it_was_made() -> None:
    record = Little(1)
    with pytest.raises(AttributeError, match=r"Little\.value cannot be assigned to"):
        setattr(record, "value", 2)  # noqa: B010  the type checker refuses the plain assignment
    assert record == Little(value=1)
    assert len({record, Little(1), Little(2)}) == 2
    assert repr(record) == "Little(value=1)"
