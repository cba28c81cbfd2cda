"""Where libvirt keeps what a machine has besides its disks: qemu_conf.c, virQEMUDriverConfigNew.

Root's machines have it below /var; an ordinary user's below their own XDG directories.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from virtkit.core.errors import NotSupportedError
from virtkit.vm.connection import SESSION, SYSTEM, whose


class Homes(NamedTuple):
    """Directories."""

    variables: str  # UEFI's: NAME_VARS.fd
    memories: str  # of managed saves: NAME.save
    tpms: str  # swtpm's state: a directory by the machine's UUID
    logs: str  # what QEMU said: NAME.log
    tpm_logs: str  # NAME-swtpm.log


_ROOT = Homes(
    "/var/lib/libvirt/qemu/nvram",
    "/var/lib/libvirt/qemu/save",
    "/var/lib/libvirt/swtpm",
    "/var/log/libvirt/qemu",
    "/var/log/swtpm/libvirt/qemu",
)


def of(uri: str) -> Homes:
    """NotSupportedError for another host's libvirt."""
    uri = whose(uri)
    if uri == SYSTEM:
        return _ROOT
    if uri != SESSION:
        raise NotSupportedError(
            f"{uri}: is another host's libvirt, expected this host's", hint="ssh HOST virtkit vm ..."
        )
    kept = _base("XDG_CONFIG_HOME", "~/.config") + "/libvirt/qemu"
    logs = _base("XDG_CACHE_HOME", "~/.cache") + "/libvirt/qemu/log"
    return Homes(f"{kept}/nvram", f"{kept}/save", f"{kept}/swtpm", logs, logs)


def images(uri: str) -> str:
    """The directory for disks: libvirt's default pool, or virt-install's place for an ordinary user's."""
    if whose(uri) == SESSION:
        return _base("XDG_DATA_HOME", "~/.local/share") + "/libvirt/images"
    return "/var/lib/libvirt/images"  # labelled for QEMU by SELinux and AppArmor


def variables(uri: str, name: str) -> tuple[str, ...]:
    """Where libvirt makes UEFI's variables if nobody says where; the format is the firmware's (qemu_firmware.c)."""
    return tuple(f"{of(uri).variables}/{name}_VARS{suffix}" for suffix in (".fd", ".qcow2"))


def _base(variable: str, usual: str) -> str:
    return os.environ.get(variable) or os.path.expanduser(usual)
