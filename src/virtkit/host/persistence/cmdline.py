"""The kernel's command line of the next boot: GRUB's defaults, or the entries of the Boot Loader Specification.

GRUB: Debian and Ubuntu read /etc/default/grub.d/*.cfg after /etc/default/grub; others read that file alone. Boot
Loader Specification (systemd-boot, Fedora): each installed kernel has an entry with an ``options`` line, and new
kernels get /etc/kernel/cmdline (kernel-install(8)). Nothing of it counts before a reboot.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.files import text_of
from virtkit.host.kept import Entry, File, Kind, lines_of, own_text, owner, with_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from virtkit.host.kernel import Kernel
    from virtkit.host.knob import Setting

_DEFAULTS = "/etc/default/grub"
_DROP_INS = "/etc/default/grub.d"
_VARIABLE = "GRUB_CMDLINE_LINUX_DEFAULT"  # not of the rescue entries, which are to start whatever we did
_ASSIGNED = re.compile(r"""(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)=(["']?)(.*)\2""")
_NEW_KERNELS = "/etc/kernel/cmdline"
_ENTRIES = tuple(f"{place}/loader/entries" for place in ("/boot", "/efi", "/boot/efi"))
_MAKERS = (
    ("/usr/sbin/update-grub", ("update-grub",)),
    ("/usr/sbin/grub2-mkconfig", ("grub2-mkconfig", "-o", "/boot/grub2/grub.cfg")),
    ("/usr/sbin/grub-mkconfig", ("grub-mkconfig", "-o", "/boot/grub/grub.cfg")),
)


class Cmdline:
    title = "kernel command line"
    turn = 0

    def key(self, setting: Setting) -> str:
        """The parameter's name, as in ``transparent_hugepage`` or ``kvm.halt_poll_ns``."""
        return _parameter(setting).partition("=")[0]

    def ready(self, kernel: Kernel) -> bool:
        return bool(_entries(kernel) or kernel.system.exists(_NEW_KERNELS) or kernel.system.exists(_DEFAULTS))

    def entries(self, kernel: Kernel) -> list[Entry]:
        """Words of the next boot; ``GRUB_CMDLINE_LINUX`` comes before ``..._DEFAULT``, whatever file they stand in."""
        places = [*_entries(kernel), *filter(kernel.system.exists, [_NEW_KERNELS])]
        found = [entry for path in places for entry in _option_words(kernel, path)]
        return found or _grub_words(kernel)

    def matches(self, entry: Entry, setting: Setting, kernel: Kernel) -> bool:
        return bool(key := self.key(setting)) and entry.key.replace("-", "_") == key.replace("-", "_")

    def files(self, kernel: Kernel, family: str, wishes: Mapping[str, tuple[Setting, str]]) -> list[File]:
        words = [_parameter(setting).replace("{value}", value) for setting, value in wishes.values()]
        if entries := _entries(kernel):
            places = [*entries, *filter(kernel.system.exists, [_NEW_KERNELS])]
            return [File(path, _with_options(kernel, path, words)) for path in places]
        if kernel.system.exists(_NEW_KERNELS) and not kernel.system.exists(_DEFAULTS):
            return [File(_NEW_KERNELS, _with_options(kernel, _NEW_KERNELS, words), ("kernel-install", "add-all"))]
        return [_grub_file(kernel, family, words)]


def _parameter(setting: Setting) -> str:
    """``kvm.halt_poll_ns={value}`` follows from the file of a module's parameter."""
    if setting.knob.parameter or not setting.file.startswith("/sys/module/"):
        return setting.knob.parameter
    _, _, _, module, _, name = setting.file.split("/")
    return f"{module}.{name}={{value}}"


def merged(line: str, words: list[str]) -> str:
    """The words of a command line with ours: each in the place of the last of its name, others of that name gone."""
    found = line.split()
    for word in words:
        name = word.partition("=")[0]
        same = [at for at, other in enumerate(found) if other.partition("=")[0] == name]
        if same:
            found[same[-1]] = word
            found = [other for at, other in enumerate(found) if at not in same[:-1]]
        else:
            found.append(word)
    return " ".join(found)


def _entries(kernel: Kernel) -> list[str]:
    return [f"{place}/{name}" for place in _ENTRIES for name in kernel.names(place) if name.endswith(".conf")]


def _option_words(kernel: Kernel, path: str) -> Iterator[Entry]:
    for number, text in lines_of(kernel, path):
        word, _, rest = text.partition(" ")
        if path == _NEW_KERNELS or word == "options":
            yield from _words(path, number, text if path == _NEW_KERNELS else rest)


def _words(path: str, number: int, text: str) -> Iterator[Entry]:
    for word in text.split():
        name, _, value = word.partition("=")
        yield Entry(path, number, name, value)


def _with_options(kernel: Kernel, path: str, words: list[str]) -> str:
    text = text_of(kernel.system, path) or ""
    if path == _NEW_KERNELS:
        return merged(text, words) + "\n"
    for number, line in lines_of(kernel, path):
        word, _, rest = line.partition(" ")
        if word == "options" and "$" in rest:
            hint = f"grubby --update-kernel=ALL --args='{' '.join(words)}'"
            raise NotSupportedError(f"{path}:{number}: options are {rest}, expected words, no variable", hint=hint)
        if word == "options":
            return with_line(text, number, f"options {merged(rest, words)}")
    return with_line(text, None, f"options {' '.join(words)}")


def _grub_words(kernel: Kernel) -> list[Entry]:
    found: dict[str, list[Entry]] = {"GRUB_CMDLINE_LINUX": [], _VARIABLE: []}
    for path in (_DEFAULTS, *_drop_ins(kernel)):
        for number, text in lines_of(kernel, path):
            if line := _ASSIGNED.fullmatch(text):
                keeps = f"${line[1]}" in line[3] or f"${{{line[1]}}}" in line[3]
                words = [word for word in _words(path, number, line[3]) if not word.key.startswith("$")]
                found[line[1]] = [*(found[line[1]] if keeps else ()), *words]
    return [*found["GRUB_CMDLINE_LINUX"], *found[_VARIABLE]]


def _drop_ins(kernel: Kernel) -> list[str]:
    """Where this GRUB's generator reads them: a patch of Debian's."""
    makers = ("/usr/sbin/grub-mkconfig", "/usr/sbin/grub2-mkconfig")
    if not any("default/grub.d" in (kernel.text(maker) or "") for maker in makers):
        return []
    return [f"{_DROP_INS}/{name}" for name in kernel.names(_DROP_INS) if name.endswith(".cfg")]


def _grub_file(kernel: Kernel, family: str, words: list[str]) -> File:
    refresh = next((command for program, command in _MAKERS if kernel.system.exists(program)), ())
    if not refresh:
        hint = f"add to the kernel's command line by hand: {' '.join(words)}"
        raise NotSupportedError(f"{_DEFAULTS}: neither update-grub nor grub2-mkconfig is installed", hint=hint)
    if not kernel.system.exists(_DROP_INS):
        return _grub_defaults(kernel, words, refresh)
    path = owner(_DROP_INS, family, ".cfg")
    text = own_text(kernel.system, path, family)
    ours = [(number, line[3]) for number, text_ in lines_of(kernel, path) if (line := _ASSIGNED.fullmatch(text_))]
    number, present = ours[0] if ours else (None, f"${_VARIABLE}")
    return File(path, with_line(text, number, f'{_VARIABLE}="{merged(present, words)}"'), refresh)


def _grub_defaults(kernel: Kernel, words: list[str], refresh: tuple[str, ...]) -> File:
    text = text_of(kernel.system, _DEFAULTS) or ""
    for number, line in lines_of(kernel, _DEFAULTS):
        if (assigned := _ASSIGNED.fullmatch(line)) and assigned[1] == _VARIABLE:
            return File(_DEFAULTS, with_line(text, number, f'{_VARIABLE}="{merged(assigned[3], words)}"'), refresh)
    return File(_DEFAULTS, with_line(text, None, f'{_VARIABLE}="{" ".join(words)}"'), refresh)


KIND: Kind = Cmdline()
