from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import NotSupportedError
from virtkit.net.backends.ifupdown.syntax import Document, Line, matches, read

PIECES = [
    "iface eth0 inet static",
    "\taddress 10.0.0.1/24",
    "# a comment",
    "",
    "  ",
    "auto lo",
    "up x \\",
    "mapping e*",
]
texts = st.one_of(
    st.text(),
    st.lists(st.sampled_from([*PIECES, "\\", "source /etc/x", "\r"])).map("\n".join),
    st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")),
)


@given(texts)
def test_every_byte_comes_back(text: str) -> None:
    assert "".join(line.raw for line in read(text)) == text


@given(st.lists(st.from_regex(r"[a-z0-9:./]+", fullmatch=True), min_size=1), st.data())
def test_one_word_changes_and_nothing_else(words: list[str], data: st.DataObject) -> None:
    gaps = data.draw(st.lists(st.sampled_from([" ", "\t", "  ", " \\\n ", "\\\n"]), min_size=len(words)))
    raw = "".join(gap + word for gap, word in zip(["", *gaps], words, strict=False))
    spaced = Line(raw)
    if len(spaced.words) != len(words):  # a backslash alone joins two words
        return
    position = data.draw(st.integers(0, len(words) - 1))
    changed = Line(spaced.with_word(position, "NEW"))
    assert changed.words == [*words[:position], "NEW", *words[position + 1 :]]
    assert changed.raw.replace("NEW", words[position], 1) == raw


def test_word_that_goes_on_in_the_next_line_is_not_changed() -> None:
    with pytest.raises(NotSupportedError, match="continued on the next line"):
        Line("auto et\\\nh0\n", 3).with_word(1, "br0")


def test_continued_lines_are_one_statement_and_comments_never_go_on() -> None:
    lines = read("up echo \\\n  two\n# three \\\nauto eth0\n")
    assert [line.text for line in lines] == ["up echo   two", "", "auto eth0"]
    assert [line.number for line in lines] == [1, 3, 4]


def test_backslash_before_a_space_goes_nowhere() -> None:
    assert [line.words for line in read("up a\\ \nauto b\n")] == [["up", "a\\"], ["auto", "b"]]


def test_stanzas_hold_their_options_over_comments_and_empty_lines() -> None:
    text = "iface eth0 inet static\n\n# address 1\n address 10.0.0.1\nauto eth0\nbroken\niface eth1 inherits eth0\n"
    first, second = Document("/x", read(text)).stanzas()
    assert (first.name, first.family, first.method, first.place) == ("eth0", "inet", "static", "/x:1")
    assert [line.words for _, line in first.options] == [["address", "10.0.0.1"]]
    assert (second.name, second.family, second.method) == ("eth1", "", "")


def test_names_of_options_may_have_either_line() -> None:
    (stanza,) = Document("/x", read("iface br0 inet manual\nbridge-ports eth0\nbridge_ports eth1\n")).stanzas()
    assert stanza.values("bridge_ports") == ["eth0", "eth1"]


@pytest.mark.parametrize(
    ("word", "found"), [("eth0", True), ("/eth*", True), ("/eth*=lan", True), ("/en*", False), ("eth01", False)]
)
def test_patterns_select_links(word: str, *, found: bool) -> None:
    assert matches(word, "eth0") is found
