"""The text of a GKeyFile, as NetworkManager keeps its profiles: nm-settings-keyfile(5) and GLib's GKeyFile.

Every byte that is not asked to change stays: comments, blank lines, unknown keys, their order and their spacing.
A comment directly above a section or a key belongs to it, and goes where it goes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Self

from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ALIASES = {"802-3-ethernet": "ethernet", "802-11-wireless": "wifi", "802-11-wireless-security": "wifi-security"}


class Entry(NamedTuple):
    """One key with the comments above it, or comments and blank lines that stand for themselves (``key`` is empty)."""

    raw: str  # with the ends of lines
    key: str = ""
    value: str = ""  # as it stands there: GKeyFile's escapes are kept


@dataclass(frozen=True)
class Section:
    name: str  # ``ethernet`` also where the file has ``802-3-ethernet``
    head: str  # the line in brackets, with the comments directly above it
    entries: tuple[Entry, ...] = ()

    @property
    def text(self) -> str:
        return self.head + "".join(entry.raw for entry in self.entries)

    def get(self, key: str) -> str | None:
        return next((entry.value for entry in reversed(self.entries) if entry.key == key), None)

    def with_lines(self, lines: Iterable[str]) -> Self:
        """``lines`` without their ends, behind the last key: blank lines that close the section stay at its end."""
        entries = list(self.entries)
        at = next((i for i in range(len(entries), 0, -1) if entries[i - 1].key), 0)
        ended = [_ended(entry) for entry in entries[:at]]
        new = [_entry(f"{line}\n") for line in lines]
        return replace(self, head=_end(self.head), entries=(*ended, *new, *entries[at:]))

    def without(self, drop: Callable[[Entry], bool]) -> Self:
        return replace(self, entries=tuple(entry for entry in self.entries if not entry.key or not drop(entry)))


@dataclass(frozen=True)
class Keyfile:
    preface: str  # comments and blank lines before the first section
    sections: tuple[Section, ...]

    @property
    def text(self) -> str:
        return self.preface + "".join(section.text for section in self.sections)

    def get(self, section: str, key: str, default: str = "") -> str:
        """The last of several wins, as in GKeyFile."""
        found = [value for part in self.named(section) if (value := part.get(key)) is not None]
        return found[-1] if found else default

    def named(self, name: str) -> list[Section]:
        return [section for section in self.sections if section.name == name]

    def without(self, *names: str) -> Keyfile:
        return replace(self, sections=tuple(section for section in self.sections if section.name not in names))

    def mapped(self, name: str, change: Callable[[Section], Section]) -> Keyfile:
        """``change`` is called for each section of this name."""
        return replace(self, sections=tuple(change(part) if part.name == name else part for part in self.sections))

    def extended(self, name: str, lines: Iterable[str]) -> Keyfile:
        """``lines`` at the end of the last section of this name, which is made where there is none."""
        if not self.named(name):
            return self.plus([Section(name, f"[{name}]\n")]).extended(name, lines)
        last = max(index for index, part in enumerate(self.sections) if part.name == name)
        changed = self.sections[last].with_lines(lines)
        return replace(self, sections=(*self.sections[:last], changed, *self.sections[last + 1 :]))

    def plus(self, sections: Iterable[Section]) -> Keyfile:
        """Appended, each parted from what is before it by a blank line."""
        text = self.text
        for section in sections:
            gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
            text += gap + section.text
        return parse(text)

    def closed(self) -> Keyfile:
        """With one end of line at its end, however many blank lines were there."""
        return parse(self.text.rstrip("\n") + "\n") if self.text.strip() else self


def parse(text: str, path: str = "profile") -> Keyfile:
    """NotSupportedError with the place of a line that GKeyFile would not take, either."""
    preface, sections, waiting = "", list[Section](), ""
    for number, line in enumerate(_lines(text), start=1):
        words = line.strip()
        if not words:
            preface, waiting = _set_down(preface, sections, waiting + line), ""
        elif words.startswith("#"):
            waiting += line
        elif words.startswith("[") and words.endswith("]"):
            sections.append(Section(ALIASES.get(words[1:-1], words[1:-1]), waiting + line))
            waiting = ""
        elif "=" in line and sections:
            sections[-1] = replace(sections[-1], entries=(*sections[-1].entries, _entry(waiting + line)))
            waiting = ""
        else:
            raise NotSupportedError(f"{path}:{number}: line is {words!r}, expected a [section] or key=value")
    return Keyfile(_set_down(preface, sections, waiting), tuple(sections))


def value_of(text: str, section: str, key: str) -> str:
    """Of a file that we only look into; empty where there is none, or no such key."""
    try:
        return parse(text).get(section, key)
    except NotSupportedError:
        return ""


def _set_down(preface: str, sections: list[Section], waiting: str) -> str:
    """``waiting`` stands for itself: in the section that is open, or before the first one."""
    if not waiting:
        return preface
    if not sections:
        return preface + waiting
    sections[-1] = replace(sections[-1], entries=(*sections[-1].entries, Entry(waiting)))
    return preface


def _lines(text: str) -> list[str]:
    """Ended by a line feed alone, as GLib has it."""
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _entry(raw: str) -> Entry:
    line = raw.removesuffix("\n").rpartition("\n")[2]
    key, _, value = line.partition("=")
    return Entry(raw, key.strip(), value.strip())


def _ended(entry: Entry) -> Entry:
    return entry._replace(raw=_end(entry.raw))


def _end(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
