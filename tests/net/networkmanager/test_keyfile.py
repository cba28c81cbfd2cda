from __future__ import annotations

from string import printable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import NotSupportedError
from virtkit.net.networkmanager.keyfile import Keyfile, parse

WORDS = st.text(st.sampled_from("abcxyz0189-_."), min_size=1, max_size=8)
VALUES = st.text(st.sampled_from(printable.replace("\n", "") + "äé☃\udc80\x0b\x1c\u2028"), max_size=12)
COMMENTS = st.one_of(st.just(""), st.just("   "), st.builds("#{}".format, VALUES), st.builds("  # {}".format, VALUES))
KEYS = st.builds("{}{}={}".format, WORDS, st.sampled_from(["", " "]), VALUES)
HEADS = st.builds("[{}]{}".format, WORDS, st.sampled_from(["", " "]))


@st.composite
def files(draw: st.DrawFn) -> str:
    lines = draw(st.lists(COMMENTS, max_size=3))
    for _ in range(draw(st.integers(0, 4))):
        lines += [draw(HEADS), *draw(st.lists(st.one_of(COMMENTS, KEYS), max_size=6))]
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


@given(files())
def test_what_is_read_is_written_byte_for_byte(text: str) -> None:
    assert parse(text).text == text


@given(files(), WORDS, WORDS, WORDS)
def test_key_that_is_added_is_all_that_changes(text: str, section: str, key: str, value: str) -> None:
    before = parse(text)
    after = before.extended(section, [f"{key}={value}"])
    assert parse(after.text).get(section, key) == value
    assert _known(after).items() >= {**_known(before), (section, key): value}.items()
    kept = [line for line in after.text.split("\n") if line]
    assert [line for line in text.split("\n") if line and line not in kept] == []


@given(files())
def test_section_that_is_taken_away_leaves_all_others_as_they_were(text: str) -> None:
    file = parse(text)
    for name in {section.name for section in file.sections}:
        left = parse(file.without(name).text)
        assert _known(left) == {key: value for key, value in _known(file).items() if key[0] != name}


@pytest.mark.parametrize(
    ("text", "said"),
    [("id=x\n", "profile:1: line is 'id=x'"), ("[a]\nb\n", "profile:2: line is 'b'"), ("[a\n", "'[a'")],
)
def test_says_where_a_file_is_none(text: str, said: str) -> None:
    with pytest.raises(NotSupportedError, match=said.replace("[", r"\[")):
        parse(text)


def test_comments_go_with_what_they_are_above() -> None:
    text = "# whole\n\n# of a\n[a]\n# of x\nx=1\ny=2\n\n# of b\n[b]\nz=3\n"
    file = parse(text)
    assert file.without("b").text == "# whole\n\n# of a\n[a]\n# of x\nx=1\ny=2\n\n"
    assert file.mapped("a", lambda part: part.without(lambda entry: entry.key == "x")).text == text.replace(
        "# of x\nx=1\n", ""
    )


def test_last_of_several_counts_and_old_names_of_sections_are_known() -> None:
    file = parse("[802-3-ethernet]\nmtu=1\n[ethernet]\nmtu = 2 \n")
    assert file.get("ethernet", "mtu") == "2"
    assert file.text.startswith("[802-3-ethernet]")


def _known(file: Keyfile) -> dict[tuple[str, str], str]:
    """What GKeyFile would say of each key."""
    keys = {(part.name, entry.key) for part in file.sections for entry in part.entries if entry.key}
    return {(section, key): file.get(section, key) for section, key in keys}
