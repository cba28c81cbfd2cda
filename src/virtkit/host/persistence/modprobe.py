"""modprobe.d(5): ``options MODULE NAME=VALUE``, read when the module is loaded; of two the later counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.host.dropins import fragments
from virtkit.host.kept import Entry, File, Kind, lines_of, owner, with_entries

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.host.kernel import Kernel
    from virtkit.host.knob import Setting

_PARAMETER = re.compile(r"/sys/module/(\w+)/parameters/(\w+)")


class Modprobe:
    """A key is ``module.parameter``. A module that is built into the kernel never asks: the command line keeps its."""

    title = "modprobe.d"
    turn = 1

    def key(self, setting: Setting) -> str:
        found = _PARAMETER.fullmatch(setting.file)
        return f"{found[1]}.{found[2]}" if found else ""

    def ready(self, kernel: Kernel) -> bool:
        return kernel.system.exists("/etc/modprobe.d")

    def entries(self, kernel: Kernel) -> list[Entry]:
        found = []
        for path in fragments(kernel, "modprobe.d"):
            for number, text in lines_of(kernel, path):
                words = text.split()
                if words[0] == "options" and len(words) > 1:
                    pairs = (word.partition("=") for word in words[2:])
                    module = words[1].replace("-", "_")
                    found += [Entry(path, number, f"{module}.{name}", value) for name, _, value in pairs]
        return found

    def matches(self, entry: Entry, setting: Setting, kernel: Kernel) -> bool:
        return entry.key == self.key(setting)

    def files(self, kernel: Kernel, family: str, wishes: Mapping[str, tuple[Setting, str]]) -> list[File]:
        lines = [
            (setting, "options {} {}={}".format(*self.key(setting).split("."), value))
            for setting, value in wishes.values()
        ]
        return [with_entries(kernel, self, owner("/etc/modprobe.d", family, ".conf"), family, lines)]


KIND: Kind = Modprobe()
