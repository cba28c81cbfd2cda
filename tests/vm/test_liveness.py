"""The table of what changes when says in both languages what the plans do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from virtkit.cli.vm import VERBS, hotplug, unplug
from virtkit.cli.vm import set as settings
from virtkit.vm import knobs, liveness

DOCS = Path(__file__).parents[2] / "docs"
YES = {"en": "yes", "zh": "是"}
FIELD = re.compile(r"^\| `([^`]+)` \| [^|]* \| (\S+) \| (\S+) \| (\S+) \|", re.MULTILINE)
VERB = re.compile(r"^\| ((?:`[a-z ]+`[,、]? ?)+) \|", re.MULTILINE)


def page(language: str) -> str:
    return (DOCS / language / "machines.md").read_text()


def table(language: str) -> dict[str, tuple[bool, bool, bool]]:
    """By field: now, from the next start, needs power-off."""
    yes = YES[language]
    return {path: (now == yes, later == yes, off == yes) for path, now, later, off in FIELD.findall(page(language))}


@pytest.mark.parametrize("language", YES)
def test_the_table_of_fields_is_what_the_rules_say(language: str) -> None:
    found = table(language)
    said = {path: bool(liveness.rule(_known(path)).knob) for path in found}
    assert found == {path: (now, True, not now) for path, now in said.items()}
    assert len(found) > 20


def test_both_languages_say_the_same() -> None:
    assert table("en") == table("zh")


@pytest.mark.parametrize("language", YES)
def test_the_table_of_verbs_names_verbs_that_there_are(language: str) -> None:
    words = [word for cell in VERB.findall(page(language)) for word in re.findall("`([^`]+)`", cell)]
    parts = {f"set {part}" for part in settings.PARTS} | {f"hotplug {part}" for part in hotplug.PARTS}
    parts |= {f"unplug {part}" for part in (*unplug.KINDS, "cpu")}
    assert set(words) - set(table(language)) <= {*VERBS, *parts}
    assert {word for word in words if word.startswith(("hotplug", "unplug"))} == {
        part for part in parts if part.startswith(("hotplug", "unplug"))
    }


def test_every_rule_has_a_knob_that_there_is_or_a_reason() -> None:
    for rule in liveness.RULES:
        assert bool(rule.knob) != bool(rule.why), rule
        if rule.knob:
            assert callable(knobs.load(rule.knob).write)


def test_what_no_rule_knows_counts_from_the_next_start() -> None:
    assert liveness.rule("pm/suspend-to-mem@enabled").why == liveness.UNKNOWN
    assert liveness.unpluggable("tpm[1]")
    assert not liveness.unpluggable("disk[vdb]")


def _known(path: str) -> str:
    """As a change of a device has it: ``disk/driver@io`` -> ``disk[x]/driver@io``; a drive for a medium."""
    return re.sub("^(disk|interface)", r"\1[x]", path)
