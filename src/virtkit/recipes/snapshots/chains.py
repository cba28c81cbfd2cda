"""The images below a machine's disks, read from the files themselves."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit import disk
from virtkit.core.errors import NotSupportedError, VirtkitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.description import Info
    from virtkit.vm.connection import Connection
    from virtkit.vm.domain import Domain

TRUSTED = disk.Access(allow_backing=True, shared=True)  # libvirt's own definition named the image


def check_local(libvirt: Connection, name: str) -> None:
    if not libvirt.local:
        raise NotSupportedError(
            f"{name}: is a machine of {libvirt.uri}, expected one of this host: its images are read",
            hint=f"ssh there: virtkit vm snapshot {name} ...",
        )


def chains(domain: Domain, targets: Iterable[str]) -> dict[str, list[Info]]:
    """By target its image and all that it stands on. NotFoundError where one is missing."""
    wanted = frozenset(targets)
    return {
        each.target: disk.info_chain(each.source, each.format or None, TRUSTED)
        for each in domain.disks
        if each.target in wanted
    }


def names(chain: Iterable[Info]) -> list[str]:
    return [os.path.realpath(info.filename) for info in chain]


def heirs(base: str) -> Iterator[str]:
    """The images in the directory of ``base`` that stand right on it."""
    home = os.path.dirname(base)
    for entry in os.scandir(home):
        if not entry.is_file():
            continue
        try:
            backing = disk.info(entry.path).backing
        except (VirtkitError, OSError):  # no image, or nobody's whom it may concern
            continue
        if backing and os.path.realpath(os.path.join(home, backing.name)) == os.path.realpath(base):
            yield entry.path
