"""Every knob of every family must pass this: said whole, in both languages, and never an error where it is not."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotFoundError, UsageError
from virtkit.core.system import System
from virtkit.host.kernel import Kernel
from virtkit.host.knob import Knob, Risk, Scope, Setting, places
from virtkit.host.legal import Bracketed, Cpus, Given, Legal, Listed, Partition, Range, Switch, Words
from virtkit.host.registry import find, knobs, settings

if TYPE_CHECKING:
    from pathlib import Path

KNOBS = list(knobs().values())
NONSENSE = ("", "no such value", "-77", "1e3", "0x10", "always never", "[0]", "1\n", "9" * 25)
SAMPLES: dict[type[Legal], str] = {
    Bracketed: "[one] two",
    Listed: "one",
    Switch: "Y",
    Cpus: "0",
    Partition: "isolated",
}


def sample(legal: Legal) -> str:
    """What the knob's file may read."""
    if isinstance(legal, Words):
        return legal.choices[0]
    if isinstance(legal, Given):
        return f"quiet {legal.name}={sample(legal.legal)}"
    return str(legal.low) if isinstance(legal, Range) else SAMPLES[type(legal)]


@pytest.fixture(params=KNOBS, ids=lambda knob: knob.name)
def knob(request: pytest.FixtureRequest) -> Knob:
    found: Knob = request.param
    return found


def here(knob: Knob) -> list[Setting]:
    """At each of its places on this host; disks come and go meanwhile, so this is asked for in the test."""
    kernel = Kernel(System())
    found = (Setting(knob, place) for place in places(kernel, knob.scope))
    return [setting for setting in found if setting.present(kernel)]


def test_no_two_families_have_a_knob_of_one_name() -> None:
    from virtkit.core import plugins
    from virtkit.host import knobs as families

    every = [knob for members in plugins.collect(families, tuple, "KNOBS").values() for knob in members]
    assert len({knob.name for knob in every}) == len(every) == len(KNOBS)


def test_some_knobs_are_here() -> None:
    assert list(settings(Kernel(System())))


def test_its_name_can_be_typed_and_a_sysctl_keeps_its_own(knob: Knob) -> None:
    assert re.fullmatch(r"[a-z][\w.+-]*", knob.name, re.ASCII)
    if knob.file.startswith("/proc/sys/"):
        assert knob.name == knob.file.removeprefix("/proc/sys/").replace("/", ".")


def test_its_files_have_a_place_if_its_scope_has(knob: Knob) -> None:
    for file in filter(None, (knob.file, knob.effective, knob.choices)):
        assert file.startswith(("/proc/", "/sys/", "/dev/"))
        assert ("{place}" in file) == (knob.scope is not Scope.HOST)
    assert bool(knob.choices) == isinstance(knob.legal, Listed)


def test_it_is_explained_in_both_languages(knob: Knob) -> None:
    for said in filter(None, (knob.explain, knob.danger)):
        assert said.en.isascii()
        assert said.en == said.en.strip()
        assert "  " not in said.en
        assert re.search(r"[\u4e00-\u9fff]", said.zh)
        assert "  " not in said.zh
    assert len(knob.explain.en) > 80


def test_it_says_who_says_so(knob: Knob) -> None:
    assert knob.evidence
    assert all(evidence.source for evidence in knob.evidence)
    assert all(evidence.figure and evidence.conditions for evidence in knob.evidence if evidence.source == "measured")


def test_what_is_risky_says_what_goes_wrong(knob: Knob) -> None:
    assert knob.danger or knob.risk in {Risk.SAFE, Risk.RESTART, Risk.REBOOT}


def test_the_knobs_that_it_hangs_on_are_there(knob: Knob) -> None:
    others = [*knob.resets, *filter(None, (knob.rival, knob.needs and knob.needs[0]))]
    assert set(others) <= set(knobs())
    assert knob.name not in others
    if knob.rival:
        assert knobs()[knob.rival].rival == knob.name


def test_its_words_for_old_ones_are_no_old_ones(knob: Knob) -> None:
    assert not set(knob.formerly) & set(knob.formerly.values())


def test_its_parameter_of_the_kernel_has_a_place_for_the_value(knob: Knob) -> None:
    assert not knob.parameter or knob.parameter.count("{value}") == 1


def test_where_it_is_not_it_is_not_here_and_no_error(knob: Knob, tmp_path: Path) -> None:
    kernel = Kernel(System(tmp_path))
    assert not Setting(knob, "0").present(kernel)
    assert not Setting(knob, "0").writable(kernel)
    with pytest.raises(NotFoundError, match=f"not here|no {knob.scope} 0"):
        find(kernel, f"{knob.name}@0" if knob.scope is not Scope.HOST else knob.name)


def test_a_file_that_makes_no_sense_is_no_error(knob: Knob, tmp_path: Path) -> None:
    made = Setting(knob, "0")
    path = tmp_path / made.file.lstrip("/")
    path.parent.mkdir(parents=True)
    for content in (b"", b"\0", b"\xff\xfe", b"[a] [b]", b"x" * 5000, b"1 2 3 4"):
        path.write_bytes(content)
        made.read(Kernel(System(tmp_path)))
        made.legal(Kernel(System(tmp_path)))


def test_it_reads_what_its_file_may_read_and_takes_it_back(knob: Knob, tmp_path: Path) -> None:
    text = sample(knob.legal)
    value = knob.legal.value(text)
    assert value is not None
    assert knob.legal.accept(value, "one" if isinstance(knob.legal, Listed) else text) == value
    assert knob.legal.told(text)


def test_nonsense_is_refused(knob: Knob) -> None:
    text = sample(knob.legal)
    for wanted in NONSENSE:
        accepted = knob.legal.accept(wanted, text)
        assert accepted is None or (isinstance(knob.legal, Range) and knob.legal.low <= int(wanted)) or wanted == ""


def test_what_is_set_here_is_legal_and_in_effect(knob: Knob) -> None:
    kernel = Kernel(System())
    for setting in here(knob):
        now = setting.read(kernel)
        given = isinstance(knob.legal, Given)  # may be unset, or a word that only the kernel knows
        if now is None or given or (knob.rival and now == "0"):
            continue
        assert setting.accept(kernel, now) == now, setting.name
        assert setting.counts(kernel) is not None, setting.name
        assert setting.legal(kernel), setting.name
        assert setting.writable(kernel) == bool(os.stat(setting.file).st_mode & 0o222), setting.name


def test_an_illegal_value_is_refused_with_what_is_legal(knob: Knob) -> None:
    for setting in here(knob)[:1]:
        with pytest.raises(UsageError, match=re.escape(setting.name)) as refused:
            setting.accept(Kernel(System()), "no such value")
        assert setting.legal(Kernel(System())) in refused.value.message
        assert refused.value.hint
