"""Whatever qemu-img can be asked for, virtkit has, or its documentation says why not."""

from __future__ import annotations

import argparse
import re
from importlib import import_module
from pathlib import Path

import pytest

from support.images import run
from virtkit.cli import parsing
from virtkit.cli.disk import VERBS

pytestmark = pytest.mark.qemu
DOCUMENT = Path(__file__).parents[2] / "docs" / "en" / "qemu-img.md"
ELSEWHERE = {"-h", "--help", "-V", "--version", "--trace"}  # of qemu-img itself


def theirs() -> dict[str, set[str]]:
    """The flags of each command, from the synopsis that this machine's qemu-img prints."""
    synopsis = run("qemu-img", "--help").split("Command syntax:")[1].split("Command parameters:")[0]
    found: dict[str, set[str]] = {}
    for line in synopsis.strip().splitlines():
        command, _, rest = line.strip().partition(" ")
        found[command] = set(re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", rest))
    return found


def ours(verb: str) -> set[str]:
    if verb not in VERBS:
        return set()
    parser = parsing.Parser()
    import_module(f"virtkit.cli.disk.{verb}").build(parser)
    return {flag for flag, action in parser._option_string_actions.items() if action.help != argparse.SUPPRESS}


def explained() -> set[tuple[str, str]]:
    """Rows of the document's table of what is left out: ``| convert | -C | reason |``; ``*`` is every one."""
    rows = re.findall(r"^\| `?([\w*, ]+?)`? \| `([^|]+)` \| [^|]{15,} \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {
        (verb.strip(), flag.strip("`"))
        for verbs, flags in rows
        for verb in verbs.split(",")
        for flag in flags.split("`, `")
    }


@pytest.mark.parametrize("command", sorted(theirs()))
def test_every_flag_of_qemu_img_is_here_or_explained(command: str) -> None:
    left_out = {flag for verb, flag in explained() if verb in {command, "*"}}
    assert "*" in left_out or not theirs()[command] - ours(command) - ELSEWHERE - left_out


def test_nothing_is_explained_that_is_here() -> None:
    commands = theirs()
    for verb, flag in explained():
        assert not ours(verb) & {flag}, f"{verb} {flag}"
        assert verb == "*" or flag == "*" or flag in commands[verb], f"{verb} {flag}"
