"""systemd.resource-control(5): a drop-in of a unit, ``machine.slice.d/60-virtkit-<family>.conf``; the later counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.dropins import fragments
from virtkit.host.kept import Entry, File, Kind, lines_of, own_text, owner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.host.kernel import Kernel
    from virtkit.host.knob import Setting

_RELOAD = ("systemctl", "daemon-reload")


class Unit:
    """``Knob.unit`` is unit, section and directive: ``machine.slice Slice AllowedCPUs``, which is the key, too."""

    title = "systemd unit"
    turn = 5

    def key(self, setting: Setting) -> str:
        return setting.knob.unit

    def ready(self, kernel: Kernel) -> bool:
        return kernel.system.exists("/etc/systemd/system")

    def entries(self, kernel: Kernel) -> list[Entry]:
        units = dict.fromkeys(
            name.removesuffix(".d")
            for place in ("/etc", "/run", "/usr/lib")
            for name in kernel.names(f"{place}/systemd/system")
            if name.endswith((".slice.d", ".service.d"))
        )
        return [
            entry
            for unit in units
            for path in fragments(kernel, f"systemd/system/{unit}.d")
            for entry in _directives(kernel, unit, path)
        ]

    def matches(self, entry: Entry, setting: Setting, kernel: Kernel) -> bool:
        return bool(setting.knob.unit) and entry.key == setting.knob.unit

    def files(self, kernel: Kernel, family: str, wishes: Mapping[str, tuple[Setting, str]]) -> list[File]:
        texts: dict[str, str] = {}
        for setting, value in wishes.values():
            unit, section, directive = setting.knob.unit.split()
            path = owner(f"/etc/systemd/system/{unit}.d", family, ".conf")
            text = texts.get(path) or own_text(kernel.system, path, family)
            lines = [line for line in text.splitlines() if not line.startswith(f"{directive}=")]
            if f"[{section}]" not in lines:
                lines.append(f"[{section}]")
            lines.insert(lines.index(f"[{section}]") + 1, f"{directive}={value}")
            texts[path] = "\n".join(lines) + "\n"
        return [File(path, text, _RELOAD) for path, text in texts.items()]


def _directives(kernel: Kernel, unit: str, path: str) -> list[Entry]:
    found, section = [], ""
    for number, text in lines_of(kernel, path):
        if text.startswith("["):
            section = text.strip("[]")
        elif "=" in text and not text.startswith(("#", ";")):
            name, _, value = text.partition("=")
            found.append(Entry(path, number, f"{unit} {section} {name.strip()}", value.strip()))
    return found


KIND: Kind = Unit()
