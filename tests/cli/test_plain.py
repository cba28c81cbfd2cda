"""What the plain reader reads, argparse reads as well: the same values, of every command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.depth import deep
from virtkit.cli import disk, main, parsing, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = [
    *(("disk", verb) for verb in disk.VERBS if verb != "lvm"),
    *(("disk", "lvm", verb) for verb in ("list", "create", "snapshot", "remove")),
    *(("vm", verb) for verb in ("list", "show", "stop", "pin", "attach", "console")),
    *((verb,) for verb in main.VERBS),
]
WORDS = ["a.qcow2", "1", "10G", "-1", "-1G", "", "-", "--", "raw", "json", "create", "x=y", "two words", "-x", "--outp"]


def plainly(argv: Sequence[str]) -> dict[str, object]:
    parser = plain.Parser()
    main._declare(parser, argv)
    return parser.read(argv)


def by_argparse(argv: Sequence[str]) -> dict[str, object]:
    return vars(main._parser(argv).parse_args(list(argv)))


def options_of(command: Sequence[str]) -> list[str]:
    """Every way to write an option of the command, from argparse's side."""
    parser: parsing.Parser = main._parser(command)
    for word in command:
        (parser,) = [action.choices[word] for action in parser._actions if isinstance(action.choices, dict)]
    return [name for name in parser._option_string_actions if name not in {"-h", "--help"}]


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    command = draw(st.sampled_from(COMMANDS))
    options = options_of(command)
    word = st.sampled_from([*options, *WORDS, *WORDS, *(f"{name}=raw" for name in options)])
    return [*command, *draw(st.lists(word, max_size=6))]


@settings(max_examples=deep(400), deadline=None)
@given(lines())
def test_argparse_reads_the_same(argv: list[str]) -> None:
    try:
        read = plainly(argv)
    except plain.NotPlainError:
        return
    assert read == by_argparse(argv)


@pytest.mark.parametrize(
    "line",
    [
        "disk info a b --output json -f raw",
        "disk info a -U b",
        "disk map --output=json a",
        "disk snapshot -c now a",
        "disk snapshot create a now",
        "disk resize a +1G --shrink",
        "disk create -q -f qcow2 a 10G",
        "disk create a -b b -F raw",
        "vm stop a --seconds 3",
        "status a",
    ],
)
def test_a_plain_line_needs_no_argparse(line: str) -> None:
    argv = line.split()
    assert plainly(argv) == by_argparse(argv)


@pytest.mark.parametrize(
    "line",
    [
        "disk info --help",
        "disk info",
        "disk info a --bogus",
        "disk info a --outp json",
        "disk info a --output yaml",
        "disk info a --output",
        "disk info -fraw a",
        "disk info --object x a",
        "disk snapshot a -c x -d y",
        "disk resize a -1G",
        "disk compare a",
        "vm stop a --seconds soon",
        "vm attach a",
        "bogus",
        "",
    ],
)
def test_all_else_is_left_to_argparse(line: str) -> None:
    with pytest.raises(plain.NotPlainError):
        plainly(line.split())
