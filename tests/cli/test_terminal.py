from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from virtkit.cli.terminal import Modes

words = st.sampled_from(
    [
        b"\x1b[?1049h",
        b"\x1b[?1049l",
        b"\x1b[?25l",
        b"\x1b[?25h",
        b"\x1b[?1000;1006h",
        b"\x1b[?1006l",
        b"text\r\n",
        b"\x1b[",
    ]
)


def undone(*chunks: bytes) -> bytes:
    modes = Modes()
    for chunk in chunks:
        modes.hear(chunk)
    return modes.undo()


def test_a_full_screen_program_that_was_left_behind_is_taken_back() -> None:
    assert undone(b"\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?2004l") == b"\x1b[0m\x1b>\x1b[?1049l\x1b[?25h"
    assert undone(b"login: ") == b"\x1b[0m\x1b>"


@given(st.lists(words), st.data())
def test_it_does_not_matter_where_the_stream_is_torn(said: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert undone(*chunks) == undone(stream)


@given(st.lists(words))
def test_what_was_taken_back_stays_back(said: list[bytes]) -> None:
    stream = b"".join(said)
    assert undone(stream, b"!", undone(stream)) == b"\x1b[0m\x1b>"
