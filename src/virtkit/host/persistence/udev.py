"""udev(7): a rule writes a device's attribute whenever the device appears; of two the later counts."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from virtkit.host.dropins import fragments
from virtkit.host.kept import Entry, File, Kind, lines_of, owner, with_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from virtkit.host.kernel import Kernel
    from virtkit.host.knob import Setting

_BLOCK = "/sys/block/"
_TERM = re.compile(r'\s*(\w+)(?:\{([^}]*)\})?\s*(==|!=|=|\+=|-=|:=)\s*"([^"]*)"\s*,?')


class Udev:
    """A key is ``KERNEL pattern`` and attribute, ``sd*/queue/scheduler``; further terms of a rule must hold as well."""

    title = "udev"
    turn = 2

    def key(self, setting: Setting) -> str:
        return setting.file.removeprefix(_BLOCK) if setting.file.startswith(_BLOCK) else ""

    def ready(self, kernel: Kernel) -> bool:
        return kernel.system.exists("/etc/udev/rules.d")

    def entries(self, kernel: Kernel) -> list[Entry]:
        return [
            entry
            for path in fragments(kernel, "udev/rules.d", ".rules")
            for number, text in lines_of(kernel, path)
            if not text.startswith("#")
            for entry in _written(path, number, text)
        ]

    def matches(self, entry: Entry, setting: Setting, kernel: Kernel) -> bool:
        if not setting.file.startswith(_BLOCK):
            return False
        names, _, attribute = entry.key.partition("/")
        if setting.file != f"{_BLOCK}{setting.place}/{attribute}":
            return False
        named = any(fnmatchcase(setting.place, name) for name in names.split("|"))
        return named and _holds(_line(kernel, entry), setting.place, kernel)

    def files(self, kernel: Kernel, family: str, wishes: Mapping[str, tuple[Setting, str]]) -> list[File]:
        lines = [
            (setting, _rule(setting.place, self.key(setting).partition("/")[2], value))
            for setting, value in wishes.values()
        ]
        return [with_entries(kernel, self, owner("/etc/udev/rules.d", family, ".rules"), family, lines)]


def _rule(device: str, attribute: str, value: str) -> str:
    return f'ACTION=="add|change", SUBSYSTEM=="block", KERNEL=="{device}", ATTR{{{attribute}}}="{value}"'


def _written(path: str, number: int, text: str) -> Iterator[Entry]:
    terms = _TERM.findall(text)
    kernel_names = next((value for name, _, sign, value in terms if name == "KERNEL" and sign == "=="), "*")
    for name, attribute, sign, value in terms:
        if name == "ATTR" and sign in {"=", ":="}:
            yield Entry(path, number, f"{kernel_names}/{attribute}", value)


def _line(kernel: Kernel, entry: Entry) -> str:
    return dict(lines_of(kernel, entry.path)).get(entry.line, "")


def _holds(rule: str, device: str, kernel: Kernel) -> bool:
    """Terms on the device's attributes are looked up; what else a rule asks for is taken to hold."""
    for name, attribute, sign, value in _TERM.findall(rule):
        if name == "ATTR" and sign in {"==", "!="}:
            text = kernel.text(f"{_BLOCK}{device}/{attribute}") or ""
            if any(fnmatchcase(text, one) for one in value.split("|")) != (sign == "=="):
                return False
        if name == "SUBSYSTEM" and sign == "==" and not fnmatchcase("block", value):
            return False
    return True


KIND: Kind = Udev()
