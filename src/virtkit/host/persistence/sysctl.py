"""sysctl.d(5): read by systemd-sysctl at boot; of two lines the later counts, and a plain name before any pattern."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from virtkit.host.dropins import fragments
from virtkit.host.kept import Entry, File, Kind, lines_of, owner, with_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.host.kernel import Kernel
    from virtkit.host.knob import Setting

_ROOT = "/proc/sys/"
_LINE = re.compile(r"-?\s*([^#;=\s][^=\s]*)\s*=\s*(.*)")


class Sysctl:
    title = "sysctl.d"
    turn = 3

    def key(self, setting: Setting) -> str:
        return setting.file.removeprefix(_ROOT) if setting.file.startswith(_ROOT) else ""

    def ready(self, kernel: Kernel) -> bool:
        return kernel.system.exists("/etc/sysctl.d")

    def entries(self, kernel: Kernel) -> list[Entry]:
        found = [
            Entry(path, number, _slashed(line[1]), line[2].strip())
            for path in fragments(kernel, "sysctl.d")
            for number, text in lines_of(kernel, path)
            if (line := _LINE.fullmatch(text))
        ]
        return sorted(found, key=lambda entry: not _is_pattern(entry.key))

    def matches(self, entry: Entry, setting: Setting, kernel: Kernel) -> bool:
        return bool(key := self.key(setting)) and (entry.key == key or fnmatchcase(key, entry.key))

    def files(self, kernel: Kernel, family: str, wishes: Mapping[str, tuple[Setting, str]]) -> list[File]:
        lines = [(setting, f"{_dotted(self.key(setting))} = {value}") for setting, value in wishes.values()]
        return [with_entries(kernel, self, owner("/etc/sysctl.d", family, ".conf"), family, lines)]


def _slashed(name: str) -> str:
    """The first separator of a name says which of the two it uses; the other one stands for a dot in a directory."""
    first = re.search(r"[./]", name)
    return name.translate(str.maketrans("./", "/.")) if first and first[0] == "." else name


def _dotted(key: str) -> str:
    return key.translate(str.maketrans("./", "/."))


def _is_pattern(key: str) -> bool:
    return any(sign in key for sign in "*?[")


KIND: Kind = Sysctl()
