from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from host.imitation import FILES, THP, imitation
from host.trees import plant
from virtkit.core.errors import NotFoundError, NotSupportedError, RolledBackError, UsageError, VerifyError
from virtkit.core.journal import Journal
from virtkit.core.progress import silent
from virtkit.host.bench.trial import Setup
from virtkit.recipes import measuring

if TYPE_CHECKING:
    from pathlib import Path

    from host.imitation import Imitation

ENABLED = f"{THP}/enabled"


def setup(place: Path, a: str = "never", b: str = "always", knob: str = "thp.enabled") -> Setup:
    return Setup(a, b, str(place), 0, "read", knob)


def measured(place: Path, system: Imitation) -> measuring.Measured:
    journal = Journal(place / "journal")
    return measuring.measure("cache", setup(place), 6, system=system, journal=journal, report=silent)


def test_two_values_of_a_knob_are_set_in_turns_and_the_old_one_comes_back(tmp_path: Path) -> None:
    system = imitation(tmp_path)
    found = measured(tmp_path, system)
    turns = [value for value, _ in groupby(text for _, text in system.written)]
    assert turns == ["never", *["always", "never"] * 4]
    assert system.read(ENABLED) == FILES[ENABLED]
    assert (found.setup.a, found.setup.b, found.setup.knob) == ("never", "always", "thp.enabled")
    assert len(found.pairs) == 6


def test_the_plan_shows_the_knob_even_where_the_first_value_is_the_present_one(tmp_path: Path) -> None:
    system = imitation(tmp_path)
    plan = measuring.loan("cache", setup(tmp_path, a="madvise", b="never"), system)
    assert plan.lines() == ["~ thp.enabled: madvise -> never"]
    assert plan.notes[-1] == "put back afterwards, whatever happens to this process"


def test_a_value_that_does_not_count_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises((RolledBackError, VerifyError), match="says madvise, expected never"):
        measured(tmp_path, imitation(tmp_path, deaf=frozenset({ENABLED})))


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    system = imitation(tmp_path)
    with pytest.raises(UsageError, match="value is 'sometimes', expected always"):
        measuring.chosen("cache", setup(tmp_path, a="sometimes"), system)
    with pytest.raises(UsageError, match="both values are never, expected two"):
        measuring.chosen("cache", setup(tmp_path, b="never"), system)
    plant(tmp_path, {"/sys/block/vda/size": "8", "/sys/block/vda/queue/write_cache": "write back"})
    with pytest.raises(NotSupportedError, match="its risk is data, expected safe"):
        measuring.chosen("cache", setup(tmp_path, knob="block.write_cache@vda"), system)
    with pytest.raises(NotFoundError, match="knows no such knob"):
        measuring.chosen("cache", setup(tmp_path, knob="thp.enable"), system)
