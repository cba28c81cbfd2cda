"""``virtkit host explain``: long texts, in English and Chinese."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.host.knob import Evidence, Knob, Says
    from virtkit.host.texts import Language


class Words(NamedTuple):
    topics: str
    more: str
    file: str
    legal: str
    risk: str
    danger: str
    evidence: str
    now: str


WORDS = {
    "en": Words("topics", "more", "file", "legal", "risk", "danger", "evidence", "here"),
    "zh": Words("主题", "更多", "文件", "合法值", "风险", "可能出的问题", "依据", "本机"),
}


def build(parser: Arguments) -> None:
    parser.add_argument(
        "subject", metavar="TOPIC|KNOB", nargs="?", default="", help="without it: what topics there are"
    )
    parser.add_argument("--lang", choices=("en", "zh"), help="the language; else the one of the locale")
    options.output(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, console: Console) -> int:
    language = args.lang or _spoken()
    if console.json:
        console.data(_data(args.subject, language))
    elif args.subject:
        console.lines(_told(args.subject, language))
    else:
        console.lines(_list(language))
    return 0


def _spoken() -> Language:
    """Of the first of these that is set, as locale(7) has it."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next(filter(None, names), "").startswith("zh") else "en"


def _list(language: Language) -> Iterator[str]:
    from virtkit.host import texts

    yield f"{WORDS[language].topics}:"
    yield from (f"  {name:12} {texts.topic(name, language).title}" for name in texts.names())
    yield "virtkit host explain TOPIC|KNOB"


def _told(subject: str, language: Language) -> Iterator[str]:
    """NotFoundError for what is neither."""
    from virtkit.host import texts
    from virtkit.host.registry import knobs

    knob = knobs().get(subject.partition("@")[0])
    if knob is not None:
        yield from _knob(knob, language)
        return
    found = texts.topic(subject, language)
    yield found.title
    yield ""
    yield found.text
    if found.families:
        yield ""
        yield f"{WORDS[language].more}: " + ", ".join(f"virtkit host knobs {family}" for family in found.families[:2])


def _knob(knob: Knob, language: Language) -> Iterator[str]:
    from virtkit.core.system import System
    from virtkit.host import texts
    from virtkit.host.kernel import Kernel
    from virtkit.host.knob import Setting, places

    words, kernel = WORDS[language], Kernel(System())
    yield f"{knob.name} ({words.file}: {knob.file})"
    yield from _wrapped(_said(knob.explain, language))
    if knob.danger:
        yield from _wrapped(f"{words.danger}: {_said(knob.danger, language)}")
    here = [setting for place in places(kernel, knob.scope) if (setting := Setting(knob, place)).present(kernel)]
    if here:
        yield from _wrapped(f"{words.now}: {here[0].name} = {here[0].read(kernel) or 'none'}")
        yield from _wrapped(f"{words.legal}: {here[0].legal(kernel)}")
    yield from _wrapped(f"{words.risk}: {knob.risk}")
    yield from (line for each in knob.evidence for line in _wrapped(f"{words.evidence}: {_source(each)}"))
    topics = texts.about(knob.family)
    if topics:
        yield f"{words.more}: " + ", ".join(f"virtkit host explain {name}" for name in topics)


def _said(says: Says, language: Language) -> str:
    return says.zh if language == "zh" else says.en


def _source(evidence: Evidence) -> str:
    said = ": ".join(part for part in (evidence.source, evidence.figure) if part)
    return said + (f" ({evidence.conditions})" if evidence.conditions else "")


def _wrapped(text: str) -> list[str]:
    from virtkit.cli.columns import wrap

    return wrap(text, 80, "  ")


def _data(subject: str, language: Language) -> Json:
    from virtkit.host import texts
    from virtkit.host.registry import knobs

    knob = knobs().get(subject.partition("@")[0])
    if knob is not None:
        return {
            "knob": knob.name,
            "family": knob.family,
            "text": _said(knob.explain, language),
            "danger": _said(knob.danger, language) if knob.danger else "",
            "evidence": [each._asdict() for each in knob.evidence],
            "topics": list(texts.about(knob.family)),
        }
    if subject:
        found = texts.topic(subject, language)
        return {"topic": found.name, "title": found.title, "families": list(found.families), "text": found.text}
    return [{"topic": name, "title": texts.topic(name, language).title} for name in texts.names()]
