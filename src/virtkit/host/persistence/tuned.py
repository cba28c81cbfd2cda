"""tuned.conf(5): while tuned runs, its profile has the last word, so ours is one that includes the one in use.

tuned reads it at its next start. It is not told to switch at once: that would set everything of the profile anew, under
running machines.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from virtkit.core.files import text_of
from virtkit.host.kept import Entry, File, Kind, lines_of
from virtkit.host.programs import find_tuners, read_programs
from virtkit.host.registry import rival

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from virtkit.host.kernel import Kernel
    from virtkit.host.knob import Setting

NAME = "virtkit"
_ACTIVE = "/etc/tuned/active_profile"
_ENABLED = "/etc/systemd/system/multi-user.target.wants/tuned.service"
_MODE = "/etc/tuned/profile_mode"
_FOLDERS = ("/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned")  # profiles/: since 2.23
_DEEPEST = 10  # profiles that include each other
_THP = "/sys/kernel/mm/transparent_hugepage/enabled"
_GOVERNOR = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
_OPTIONS = {  # section and option -> the file it writes
    ("vm", "transparent_hugepages"): _THP,
    ("vm", "transparent_hugepage"): _THP,
    ("disk", "elevator"): "/sys/block/*/queue/scheduler",
    ("disk", "readahead"): "/sys/block/*/queue/read_ahead_kb",
    ("cpu", "governor"): _GOVERNOR,
}
_DIRTY = ("dirty_bytes", "dirty_ratio", "dirty_background_bytes", "dirty_background_ratio")


class Tuned:
    """A key is a file of the kernel, or a pattern of such."""

    title = "tuned profile"
    turn = 6

    def key(self, setting: Setting) -> str:
        return setting.file if setting.file.startswith(("/proc/sys/", "/sys/")) else ""

    def ready(self, kernel: Kernel) -> bool:
        return any(tuner.name == "tuned" and tuner.profile for tuner in find_tuners(kernel, read_programs(kernel)))

    def entries(self, kernel: Kernel) -> list[Entry]:
        """None where tuned neither runs nor starts with the host: what its profile says then counts for nothing."""
        if not (self.ready(kernel) or kernel.text(_ENABLED) is not None):
            return []
        profiles = (kernel.text(_ACTIVE) or "").split()
        return [entry for path in _chain(kernel, profiles) for entry in _settings(kernel, path)]

    def matches(self, entry: Entry, setting: Setting, kernel: Kernel) -> bool:
        return fnmatchcase(setting.file, entry.key)

    def files(self, kernel: Kernel, family: str, wishes: Mapping[str, tuple[Setting, str]]) -> list[File]:
        active = kernel.text(_ACTIVE) or ""
        path = _own_path(kernel)
        text = text_of(kernel.system, path) or _new_profile(active)
        for setting, value in wishes.values():
            if setting.knob.rival:
                text = _without_option(text, *_option(rival(setting)))
            text = _with_option(text, *_option(setting), value)
        found = [File(path, text)]
        if active != NAME:
            found.append(File(_ACTIVE, f"{NAME}\n"))
        if kernel.text(_MODE) not in {None, "manual"}:
            found.append(File(_MODE, "manual\n"))
        return found


def _own_path(kernel: Kernel) -> str:
    folder = next((folder for folder in _FOLDERS if kernel.system.exists(folder)), "/etc/tuned")
    return f"{folder}/{NAME}/tuned.conf"


def _new_profile(active: str) -> str:
    return (
        "# Written by virtkit: what it keeps over restarts while tuned runs.\n"
        "# virtkit history tells which change made this; virtkit undo ID takes it back, to the byte.\n"
        f"[main]\nsummary={active} and what virtkit host set\ninclude={' '.join(active.split())}\n"
    )


def _option(setting: Setting) -> tuple[str, str]:
    if setting.file.startswith("/proc/sys/"):
        return "sysctl", setting.knob.name
    return ("vm", "transparent_hugepages") if setting.file == _THP else ("sysfs", setting.file)


def _with_option(text: str, section: str, name: str, value: str) -> str:
    lines, at = text.splitlines(), ""
    for number, line in enumerate(lines):
        if line.startswith("["):
            at = line.strip("[] ")
        elif at == section and line.partition("=")[0].strip() == name:
            lines[number] = f"{name}={value}"
            return "\n".join(lines) + "\n"
    if f"[{section}]" not in lines:
        lines.append(f"[{section}]")
    lines.insert(lines.index(f"[{section}]") + 1, f"{name}={value}")
    return "\n".join(lines) + "\n"


def _without_option(text: str, section: str, name: str) -> str:
    kept, at = [], ""
    for line in text.splitlines():
        at = line.strip("[] ") if line.startswith("[") else at
        if (at, line.partition("=")[0].strip()) != (section, name):
            kept.append(line)
    return "\n".join(kept) + "\n"


def _chain(kernel: Kernel, profiles: list[str], depth: int = 0) -> Iterator[str]:
    """The files of these profiles, each behind those that it includes: a later option counts."""
    for profile in profiles:
        paths = (f"{folder}/{profile}/tuned.conf" for folder in _FOLDERS)
        path = next((path for path in paths if kernel.text(path) is not None), None)
        if path is None or depth > _DEEPEST:
            continue
        included = [line.partition("=")[2] for _, line in lines_of(kernel, path) if line.startswith("include")]
        for names in included:
            yield from _chain(kernel, names.replace(",", " ").split(), depth + 1)
        yield path


def _settings(kernel: Kernel, path: str) -> Iterator[Entry]:
    """Without sections that only some machines have (uname_regex, cpuinfo_regex)."""
    options = list(_options(kernel, path))
    skipped = {section for _, section, name, _ in options if name in {"uname_regex", "cpuinfo_regex"}}
    plugins = {section: value for _, section, name, value in options if name == "type"}
    for number, section, name, value in options:
        if section not in skipped and (file := _file(plugins.get(section, section), name)):
            yield Entry(path, number, file, value.lstrip(">").strip())


def _options(kernel: Kernel, path: str) -> Iterator[tuple[int, str, str, str]]:
    """Line, section, name, value."""
    section = ""
    for number, line in lines_of(kernel, path):
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield number, section, name.strip(), value.strip()


def _file(section: str, name: str) -> str:
    if section == "sysctl" or (section == "vm" and name in _DIRTY):
        key = name if section == "sysctl" else f"vm.{name}"
        return f"/proc/sys/{key.replace('.', '/')}"
    if section == "sysfs":
        return name
    return _OPTIONS.get((section, name), "")


KIND: Kind = Tuned()
