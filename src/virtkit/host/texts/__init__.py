"""What ``host explain`` tells at length: a topic is ``TOPIC.en.txt`` and ``TOPIC.zh.txt``.

The first line is its title, the second the families of knobs that it is about (or none); then, after an empty line, the
text in lines of at most 80 columns.
"""

from __future__ import annotations

import os
from typing import Literal, NamedTuple, TypeAlias

from virtkit.core.errors import NotFoundError

Language: TypeAlias = Literal["en", "zh"]

_FOLDER = os.path.dirname(__file__)


class Topic(NamedTuple):
    name: str
    title: str
    families: tuple[str, ...]
    text: str


def names() -> list[str]:
    return sorted(file.removesuffix(".en.txt") for file in os.listdir(_FOLDER) if file.endswith(".en.txt"))


def topic(name: str, language: Language) -> Topic:
    """NotFoundError."""
    if name not in names():
        near = [f"virtkit host explain {known}" for known in names() if name and known.startswith(name)]
        raise NotFoundError(
            f"{name}: is no topic and no knob, topics are {', '.join(names())}",
            hint=near[0] if near else "virtkit host knobs",
        )
    with open(os.path.join(_FOLDER, f"{name}.{language}.txt"), encoding="utf-8") as file:
        title, about, _, *lines = file.read().splitlines()
    families = tuple(word for word in about.removeprefix("families:").split() if word != "none")
    return Topic(name, title, families, "\n".join(lines))


def about(family: str) -> list[str]:
    """The topics that a family of knobs belongs to."""
    return [name for name in names() if family in topic(name, "en").families]
