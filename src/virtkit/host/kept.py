"""What a kind of configuration file promises that keeps knobs over a restart.

A kind is a file of ``host/persistence`` with ``KIND``. It reads all files of its kind on the host, so that we see who
else sets a knob and who wins, and writes one file per family of knobs that is ours alone: ``60-virtkit-<family>``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from virtkit.core.files import text_of
from virtkit.host.kernel import LIMIT, Kernel
from virtkit.host.registry import followers, rival

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from virtkit.core.system import System
    from virtkit.host.knob import Setting

HEADER = (
    "# Written by virtkit: knobs of the family {family}, kept over restarts.",
    "# virtkit history tells which change made this; virtkit undo ID takes it back, to the byte.",
)


class Entry(NamedTuple):
    """A line that sets something: ``key`` as its kind calls it, perhaps a pattern; ``value`` as it is spelled there."""

    path: str
    line: int  # from 1
    key: str
    value: str

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


class File(NamedTuple):
    """How a file is to read, and what has to run before the next boot sees it."""

    path: str
    text: str
    refresh: tuple[str, ...] = ()  # a command, word by word


@runtime_checkable
class Kind(Protocol):
    @property
    def title(self) -> str:
        """As man pages call it: ``sysctl.d``."""

    @property
    def turn(self) -> int:
        """The order in which a boot reads the kinds; what comes later overwrites."""

    def key(self, setting: Setting) -> str:
        """What the setting is called there; empty: this kind cannot keep it."""

    def ready(self, kernel: Kernel) -> bool:
        """Whether this host reads such files at all."""

    def entries(self, kernel: Kernel) -> list[Entry]:
        """All of the host, in the order in which they take effect: the last one that matches wins."""

    def matches(self, entry: Entry, setting: Setting, kernel: Kernel) -> bool:
        """Whether the line sets it."""

    def files(self, kernel: Kernel, family: str, wishes: Mapping[str, tuple[Setting, str]]) -> list[File]:
        """Ours with these settings in it: by name, with the value as the kernel spells it."""


def owner(folder: str, family: str, suffix: str) -> str:
    return f"{folder}/60-virtkit-{family.replace('_', '-')}{suffix}"


def own_text(system: System, path: str, family: str) -> str:
    """Our file as it is; with nothing but its header where there is none yet."""
    found = text_of(system, path)
    return "".join(f"{line.format(family=family)}\n" for line in HEADER) if found is None else found


def lines_of(kernel: Kernel, path: str) -> Iterator[tuple[int, str]]:
    """The lines of a configuration file that are not empty, without white space at their ends."""
    for number, line in enumerate(kernel.lines(path), 1):
        if line.strip():
            yield number, line.strip()


def with_line(text: str, number: int | None, line: str, *, before: int | None = None) -> str:
    """Line ``number`` replaced; None: put in front of line ``before``, or added at the end."""
    lines = text.splitlines()
    if number is not None:
        lines[number - 1] = line
    elif before is not None:
        lines.insert(before - 1, line)
    else:
        lines.append(line)
    return "\n".join(lines) + "\n"


def with_entries(kernel: Kernel, kind: Kind, path: str, family: str, lines: Iterable[tuple[Setting, str]]) -> File:
    """Our file with a line for each setting: its own replaced, or one more, in front of what has to come after it.

    A rival's line goes: what it sets would be 0 at once, or make this 0.
    """
    text = own_text(kernel.system, path, family)
    for setting, line in lines:
        if setting.knob.rival and (number := _own_lines(kernel, kind, path, text).get(kind.key(rival(setting)))):
            text = "".join(text.splitlines(keepends=True)[: number - 1] + text.splitlines(keepends=True)[number:])
        ours = _own_lines(kernel, kind, path, text)
        after = [ours[key] for other in followers(setting) if (key := kind.key(other)) in ours]
        text = with_line(text, ours.get(kind.key(setting)), line, before=min(after, default=None))
    return File(path, text)


def _own_lines(kernel: Kernel, kind: Kind, path: str, text: str) -> dict[str, int]:
    """The number of the line that sets it, by key."""
    entries = kind.entries(Rehearsed(kernel.system, {path: text}))
    return {entry.key: entry.line for entry in entries if entry.path == path}


class Rehearsed(Kernel):
    """The host as it would be with these files."""

    def __init__(self, system: System, files: Mapping[str, str]) -> None:
        super().__init__(system)
        self._files = files

    def text(self, path: str, limit: int = LIMIT) -> str | None:
        return self._files[path].strip() if path in self._files else super().text(path, limit)

    def lines(self, path: str) -> list[str]:
        return self._files[path].splitlines() if path in self._files else super().lines(path)

    def names(self, path: str) -> list[str]:
        inside = (file.removeprefix(f"{path}/") for file in self._files if file.startswith(f"{path}/"))
        added = {name.partition("/")[0] for name in inside}
        return sorted({*super().names(path), *added})
