"""Whatever virsh can be asked for, virtkit does, or its documentation says why not; and what it does, it has."""

from __future__ import annotations

import re
import shutil
from importlib import import_module
from pathlib import Path

import pytest

from support.images import run

DOCUMENTS = Path(__file__).parents[2] / "docs"


def tables(language: str) -> list[list[tuple[str, str]]]:
    """Both tables of the document, row by row."""
    text = (DOCUMENTS / language / "virsh.md").read_text()
    parts = text.split("\n## ")[1:]
    return [re.findall(r"^\| (`.+`) \| (.+) \|$", part, re.MULTILINE) for part in parts]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def commands() -> set[str]:
    if shutil.which("virsh") is None:
        pytest.skip("needs virsh")
    return set(re.findall(r"^ {4}([a-z][\w-]+) ", run("virsh", "help"), re.MULTILINE))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_command_of_virsh_is_here_or_explained(language: str) -> None:
    told = [word for table in tables(language) for row in table for word in words(row[0])]
    assert len(told) == len(set(told)), "each stands in one row"
    assert commands() - set(told) == set()


def test_both_languages_say_the_same_of_each_command() -> None:
    english, chinese = tables("en"), tables("zh")
    assert english[0] == chinese[0]
    assert [row[0] for row in english[1]] == [row[0] for row in chinese[1]]


def test_what_is_said_to_be_here_is_here() -> None:
    for _, ours in tables("en")[0]:
        for told in words(ours):
            noun, *rest = told.split()
            if noun.startswith("-") or noun in {"confirm", "rollback"}:
                continue
            verbs = import_module(f"virtkit.cli.{noun}").VERBS
            assert rest[0] in verbs, told


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_table_of_machines_has_every_verb(language: str) -> None:
    from virtkit.cli.vm import VERBS

    text = (DOCUMENTS / language / "machines.md").read_text()
    rows = re.findall(r"^\| (`[^|]+`) \| [^|]+ \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    told = {word.split()[0] for row in rows for word in words(row)}
    assert set(VERBS) - told == set()
