"""Whatever stands in a file of systemd's form, its bytes are kept, and its words are found as systemd finds them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from virtkit.net.networkd import unitfile

LINES = st.sampled_from(
    ["[Match]", "[Network]", "Name=eth0", " Address = 10.0.0.1/24 ", "# a comment", "; another", "", "Route=a \\",
     "junk", "Name=", "ключ=значение", "[Broken", "=", "A=b=c"]
)  # fmt: skip
FILES = st.lists(LINES | st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=20), max_size=30)


@given(FILES, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "\n"]))
def test_no_byte_is_lost(lines: list[str], end: str, last: str) -> None:
    text = end.join(lines) + last
    assert unitfile.text_of(unitfile.parse(text)) == text.removeprefix("\ufeff")


def test_words_are_collected_and_an_empty_assignment_takes_them_back() -> None:
    entries = unitfile.parse("[Match]\nName=a b\nName=\nName=c \\\n  # not said\n  d\n[Other]\nName=e\n")
    assert unitfile.values(entries, "Match", "Name") == ["c", "d"]
    assert unitfile.values(entries, "Other", "Name") == ["e"]


def test_section_of_each_assignment_is_known() -> None:
    entries = unitfile.parse("[Network]\n# about\nDNS=10.0.0.1\n\n[Route]\nGateway = 10.0.0.1\n")
    assert [(e.section, e.key, e.value) for e in entries if e.key] == [
        ("Network", "DNS", "10.0.0.1"),
        ("Route", "Gateway", "10.0.0.1"),
    ]
    assert [entry.header for entry in entries] == [True, False, False, False, True, False]
