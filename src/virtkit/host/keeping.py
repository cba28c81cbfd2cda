"""Which file keeps a knob over a restart, which keeps it now, and who wins where several do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core import plugins
from virtkit.core.errors import NotSupportedError
from virtkit.host import persistence
from virtkit.host.kept import Kind
from virtkit.host.legal import Given
from virtkit.host.registry import rival

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from virtkit.host.kept import Entry, File
    from virtkit.host.kernel import Kernel
    from virtkit.host.knob import Setting

_PREFERRED = ("unit", "tuned", "sysctl", "udev", "modprobe", "tmpfiles", "cmdline")
_LOADERS = "neither /etc/default/grub nor an entry of a boot loader"


class Kept(NamedTuple):
    name: str  # of the setting
    value: str
    kind: str  # as ``Kind.title``
    where: str  # path:line


class Writing(NamedTuple):
    file: File
    values: dict[str, str]  # what it keeps, by the settings' names
    whole: bool  # none of its group follows


class Keeping:
    """All files that set knobs at boot; each kind is read once."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.kinds = plugins.collect(persistence, Kind, "KIND")
        self._entries: dict[str, list[Entry]] = {}

    def all(self, *settings: Setting) -> list[Kept]:
        """Every line that sets one of them, in the order of a boot: the last one wins."""
        return [
            Kept(setting.name, _meant(setting, entry.value), kind.title, entry.where)
            for name, kind in sorted(self.kinds.items(), key=lambda item: item[1].turn)
            for entry in self._read(name)
            for setting in settings
            if kind.matches(entry, setting, self.kernel)
        ]

    def winner(self, setting: Setting) -> Kept | None:
        """None also where a rival is set later: then this becomes 0."""
        rivals = [rival(setting)] if setting.knob.rival else []
        found = [kept for kept in self.all(setting, *rivals) if kept.value != "0" or not rivals]
        return found[-1] if found and found[-1].name == setting.name else None

    def said(self, path: str, setting: Setting) -> str | None:
        """What this one file sets it to."""
        found = [kept.value for kept in self.all(setting) if kept.where.rpartition(":")[0] == path]
        return found[-1] if found else None

    def _read(self, name: str) -> list[Entry]:
        if name not in self._entries:
            self._entries[name] = self.kinds[name].entries(self.kernel)
        return self._entries[name]

    def kind(self, setting: Setting) -> str:
        """The name of the kind that is to keep it. NotSupportedError if none of this host can."""
        for name in _PREFERRED:
            kind = self.kinds[name]
            if kind.key(setting) and kind.ready(self.kernel) and self._suits(name, setting):
                return name
        word = self.kinds["cmdline"].key(setting)
        if word and not setting.writable(self.kernel):
            raise NotSupportedError(
                f"{setting.name}: {_LOADERS} is here to put {word}= on the kernel's command line",
                hint=f"add {word}=VALUE where the kernel of this machine gets its command line",
            )
        raise NotSupportedError(
            f"{setting.name}: nothing on this host keeps {setting.file} over a restart",
            hint=f"virtkit host set --runtime {setting.name}=VALUE",
        )

    def _suits(self, name: str, setting: Setting) -> bool:
        """What is written at boot must be writable; a module that is built in takes the command line."""
        if name == "modprobe":
            module = self.kinds[name].key(setting).partition(".")[0]
            return any(line.split()[0] == module for line in (self.kernel.text("/proc/modules") or "").splitlines())
        if name in {"unit", "cmdline"}:
            return True
        return setting.writable(self.kernel) and not setting.file.startswith("/sys/module/")

    def files(self, wishes: Iterable[tuple[Setting, str]]) -> list[Writing]:
        """The files to write; a kind's file of one family is written once."""
        groups: dict[tuple[str, str], dict[str, tuple[Setting, str]]] = {}
        for setting, value in wishes:
            name = self.kind(setting)
            family = "" if name == "tuned" else setting.knob.family
            groups.setdefault((name, family), {})[setting.name] = (setting, value)
        return [writing for (name, family), group in groups.items() for writing in self._writings(name, family, group)]

    def _writings(self, name: str, family: str, group: Mapping[str, tuple[Setting, str]]) -> list[Writing]:
        spelled = {name: (setting, setting.knob.legal.spell(value)) for name, (setting, value) in group.items()}
        files = self.kinds[name].files(self.kernel, family, spelled)
        values = {name: value for name, (_, value) in group.items()}
        return [Writing(file, values, whole=file is files[-1]) for file in files]


def _meant(setting: Setting, spelled: str) -> str:
    """The value of what a line says, without what stands around it (isolcpus=managed_irq,domain,2-3); else as it is."""
    legal = setting.knob.legal
    around = setting.knob.parameter.partition("=")[2].partition("{value}")[0]
    value = (legal.legal if isinstance(legal, Given) else legal).value(spelled.removeprefix(around))
    return spelled if value is None else value
