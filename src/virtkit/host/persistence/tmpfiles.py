"""tmpfiles.d(5): a line ``w PATH - - - - VALUE`` is written at boot; of two for one path the first counts.

A pattern and a path that it matches are written one after the other, as their lines stand (seen with systemd 252).
"""

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

_LINE = re.compile(r'w[!^-]*\s+("?)([^\s"]+)\1\s+\S+\s+\S+\s+\S+\s+\S+\s+"?([^"]*)"?')


class Tmpfiles:
    title = "tmpfiles.d"
    turn = 4

    def key(self, setting: Setting) -> str:
        return setting.file if setting.file.startswith(("/sys/", "/proc/")) else ""

    def ready(self, kernel: Kernel) -> bool:
        return kernel.system.exists("/usr/lib/tmpfiles.d")

    def entries(self, kernel: Kernel) -> list[Entry]:
        found = [
            Entry(path, number, line[2], line[3].strip())
            for path in fragments(kernel, "tmpfiles.d")
            for number, text in lines_of(kernel, path)
            if (line := _LINE.fullmatch(text))
        ]
        first: dict[str, Entry] = {}
        for entry in found:
            first.setdefault(entry.key, entry)
        return list(first.values())

    def matches(self, entry: Entry, setting: Setting, kernel: Kernel) -> bool:
        return entry.key == setting.file or fnmatchcase(setting.file, entry.key)

    def files(self, kernel: Kernel, family: str, wishes: Mapping[str, tuple[Setting, str]]) -> list[File]:
        lines = [(setting, f"w {setting.file} - - - - {value}") for setting, value in wishes.values()]
        return [with_entries(kernel, self, owner("/etc/tmpfiles.d", family, ".conf"), family, lines)]


KIND: Kind = Tmpfiles()
