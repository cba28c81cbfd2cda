from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net import samples
from virtkit.core.errors import NetworkError
from virtkit.net import decode
from virtkit.net.wire import (
    Attribute,
    Attributes,
    MessageHeader,
    NexthopHeader,
    messages,
    nest,
    nexthops,
    text_attribute,
    u8_attribute,
    u32_attribute,
)

attribute = st.builds(Attribute, st.integers(0, 0x3FFF), st.binary(max_size=70), st.booleans())
DECODERS = [decode.link, decode.address, decode.route, decode.rule, decode.neighbour]


@given(st.lists(attribute))
def test_attributes_come_back_as_they_were_packed(given: list[Attribute]) -> None:
    packed = Attributes(given).pack()
    assert len(packed) % 4 == 0
    assert Attributes.parse(packed) == Attributes(given)


@given(st.lists(attribute), st.integers(min_value=1))
def test_attributes_cut_short_are_refused_or_fewer(given: list[Attribute], cut: int) -> None:
    packed = Attributes(given).pack()
    with contextlib.suppress(NetworkError):
        assert len(Attributes.parse(packed[: -(cut % len(packed) or 1)] if packed else b"")) <= len(given)


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed_or_refused_and_nothing_is_invented(data: bytes) -> None:
    with contextlib.suppress(NetworkError):
        found = Attributes.parse(data)
        assert sum(4 + len(a.value) for a in found) <= len(data)
    with contextlib.suppress(NetworkError):
        assert sum(MessageHeader.SIZE + len(m.body) for m in messages(data)) <= len(data)
    with contextlib.suppress(NetworkError):
        assert NexthopHeader.SIZE * len(list(nexthops(data))) <= len(data)


@pytest.mark.parametrize("decoder", DECODERS)
@given(data=st.data())
def test_decoders_take_any_bytes_and_fail_with_a_network_error_only(decoder: object, data: st.DataObject) -> None:
    body = data.draw(st.binary(max_size=40) | _with_attributes())
    assert callable(decoder)
    with contextlib.suppress(NetworkError):
        decoder(body)


def _with_attributes() -> st.SearchStrategy[bytes]:
    inner = st.builds(Attribute, st.integers(0, 30), st.binary(max_size=20), st.booleans())
    outer = st.lists(inner).map(lambda attributes: Attributes(attributes).pack())
    return st.tuples(st.binary(min_size=8, max_size=16), outer).map(b"".join)


@given(st.integers(min_value=0), st.integers(0, 255))
def test_a_real_message_with_one_byte_changed_is_decoded_or_refused(at: int, value: int) -> None:
    for body, decoder in (
        (samples.address("10.9.0.11/24").raw, decode.address),
        (samples.route("2001:db8::/32", via="fe80::1").raw, decode.route),
    ):
        changed = bytearray(body)
        changed[at % len(body)] = value
        with contextlib.suppress(NetworkError):
            decoder(bytes(changed))


@pytest.mark.parametrize("length", [0, 1, 3, 9, 0xFFFF])
def test_an_attribute_that_claims_another_length_is_refused(length: int) -> None:
    packed = bytearray(u32_attribute(1, 7).pack())
    packed[0:2] = length.to_bytes(2, "little" if packed[0] == 8 else "big")
    with pytest.raises(NetworkError, match="attribute length is|after the last"):
        Attributes.parse(bytes(packed))


def test_numbers_texts_and_nests_are_read_by_type() -> None:
    inner = [u8_attribute(1, 200), text_attribute(2, "eth0")]
    found = Attributes.parse(nest(18, inner).pack()).nested(18)
    assert (found.number(1), found.text(2), found.number(9, 5), found.text(9, "none")) == (200, "eth0", 5, "none")


def test_a_number_of_a_strange_size_is_refused() -> None:
    with pytest.raises(NetworkError, match="attribute 4 has 3 bytes"):
        Attributes([Attribute(4, b"abc")]).number(4)
