"""Directories of configuration fragments as systemd, kmod and udev read them (systemd.conf(5), modprobe.d(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel

_PLACES = ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")  # the first that has a name hides it in the others


def fragments(kernel: Kernel, folder: str, suffix: str = ".conf") -> list[str]:
    """The files that count, in their order: by name, whatever directory they are in; masked ones are left out."""
    chosen: dict[str, str] = {}
    for place in _PLACES:
        for name in kernel.names(f"{place}/{folder}"):
            if name.endswith(suffix):
                chosen.setdefault(name, f"{place}/{folder}/{name}")
    return [path for _, path in sorted(chosen.items()) if kernel.target(path) != "/dev/null"]
