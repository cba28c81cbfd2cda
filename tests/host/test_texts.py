from __future__ import annotations

import os
import re

import pytest

from virtkit.cli.columns import width
from virtkit.cli.main import main
from virtkit.core.errors import NotFoundError
from virtkit.host import texts
from virtkit.host.registry import knobs

LANGUAGES: tuple[texts.Language, ...] = ("en", "zh")
EVERY = [(name, language) for name in texts.names() for language in LANGUAGES]
PROMISED = {
    "cache-modes",
    "ept",
    "thp",
    "huge-pages",
    "ksm",
    "schedulers",
    "pinning",
    "overcommit",
    "virtio",
    "article",
}
MEASURED = {"en": re.compile(r"\b[Mm]easured\b"), "zh": re.compile("实测")}
CONDITION = {"en": re.compile(r"(?:QEMU|kernel|Linux) \d"), "zh": re.compile(r"(?:QEMU|内核) \d")}


def paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n")]


def test_what_was_promised_is_told() -> None:
    assert set(texts.names()) >= PROMISED


def test_every_topic_has_both_languages_and_nothing_else_lies_about() -> None:
    folder = os.path.dirname(texts.__file__)
    files = {name for name in os.listdir(folder) if name.endswith(".txt")}
    assert files == {f"{name}.{language}.txt" for name, language in EVERY}


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_a_text_is_in_its_language_in_lines_of_a_terminal(name: str, language: texts.Language) -> None:
    found = texts.topic(name, language)
    assert [line for line in (found.title, *found.text.splitlines()) if width(line) > 80] == []
    signs = len(re.findall(r"[\u4e00-\u9fff]", found.title + found.text))
    assert signs == 0 if language == "en" else signs > 200
    assert found.text.endswith(".") if language == "en" else found.text.endswith("。")


@pytest.mark.parametrize("name", texts.names())
def test_both_languages_tell_the_same(name: str) -> None:
    """As many paragraphs, the same figures and the same commands."""
    english, chinese = (texts.topic(name, language) for language in LANGUAGES)
    assert english.families == chinese.families
    left, right = paragraphs(english.text), paragraphs(chinese.text)
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert set(re.findall(r"\d+\.\d+", one)) == set(re.findall(r"\d+\.\d+", other)), one
        commands = [re.findall(r"virtkit (?:host|vm|disk|net) [a-z]+", text) for text in (one, other)]
        assert sorted(commands[0]) == sorted(commands[1]), one


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_what_was_measured_says_on_what(name: str, language: texts.Language) -> None:
    for paragraph in paragraphs(texts.topic(name, language).text):
        if MEASURED[language].search(paragraph) and re.search(r"\d", paragraph):
            assert CONDITION[language].search(paragraph), paragraph


@pytest.mark.parametrize("name", texts.names())
def test_every_command_and_every_knob_that_a_text_names_exists(name: str) -> None:
    from virtkit.cli.host import VERBS as HOST
    from virtkit.cli.vm import VERBS as VM

    text = " ".join(texts.topic(name, "en").text.split())
    assert set(re.findall(r"virtkit host ([a-z]+)", text)) <= set(HOST)
    assert set(re.findall(r"virtkit vm ([a-z]+)", text)) <= set(VM)
    assert set(re.findall(r"virtkit host explain ([a-z-]+)", text)) <= set(texts.names())
    subjects = "|".join({name.partition(".")[0] for name in knobs()})
    assert set(re.findall(rf"\b(?:{subjects})\.[\w.-]*\w(?![\w(])", text)) - {"vm.nr_hugepages"} <= set(knobs())


def test_every_family_of_knobs_is_reached_from_a_topic_and_no_topic_names_another() -> None:
    families = {knob.family for knob in knobs().values()}
    assert {family for name in texts.names() for family in texts.topic(name, "en").families} == families


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_knob_is_explained_whether_this_host_has_it_or_not(
    language: texts.Language, capsys: pytest.CaptureFixture[str]
) -> None:
    for knob in knobs().values():
        assert main(["host", "explain", knob.name, "--lang", language]) == 0
        told = capsys.readouterr().out
        said = knob.explain.zh if language == "zh" else knob.explain.en
        assert "".join(said.split()) in "".join(told.split())
        assert f"virtkit host explain {texts.about(knob.family)[0]}" in told


@pytest.mark.parametrize(
    ("locale", "told"), [("zh_CN.UTF-8", "虚拟机磁盘"), ("en_US.UTF-8", "Cache modes"), ("", "Cache modes")]
)
def test_the_locale_chooses_the_language(
    locale: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", locale)
    assert main(["host", "explain", "cache-modes"]) == 0
    assert told in capsys.readouterr().out


def test_without_a_topic_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["host", "explain", "--lang", "en"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {name} " in told for name in texts.names())


def test_an_unknown_topic_is_told_with_those_there_are() -> None:
    with pytest.raises(NotFoundError, match=r"is no topic and no knob, topics are article, cache-modes"):
        texts.topic("../kernel", "en")


def test_the_beginning_of_a_topic_is_enough_to_be_told_its_name() -> None:
    with pytest.raises(NotFoundError) as refused:
        texts.topic("cache", "en")
    assert refused.value.hint == "virtkit host explain cache-modes"
