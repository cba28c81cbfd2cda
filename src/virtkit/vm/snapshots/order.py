"""The XML that asks libvirt for a snapshot, and the names of the files that it will make."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.vm.snapshots.snapshot import EXTERNAL
from virtkit.vm.xml import element, text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.vm.devices import Disk
    from virtkit.vm.xml import Element

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+:@-]{0,63}")  # it becomes part of file names


def check_name(machine: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{machine}: snapshot is {name!r}, expected 1 to 64 letters, digits and _ . + : @ -")


def overlay(machine: str, disk: Disk, name: str, directory: str = "") -> str:
    """``/images/web1-vda.before.qcow2``: beside the disk, or in ``directory``. UsageError for a device without one."""
    if not directory and disk.node.get("type") == "block":
        raise UsageError(
            f"{machine}: disk {disk.target} is the device {disk.source}, expected a directory for its overlay",
            hint="--directory DIRECTORY   (where it may grow)",
        )
    return str(PurePosixPath(directory or PurePosixPath(disk.source).parent) / f"{machine}-{disk.target}.{name}.qcow2")


def memory_file(overlays: dict[str, str], machine: str, name: str) -> str:
    """Beside the first overlay."""
    return str(PurePosixPath(next(iter(overlays.values()))).parent / f"{machine}.{name}.memory")


def request(name: str, description: str, disks: dict[str, str], memory: str, others: Iterable[str]) -> str:
    """``disks``: target -> overlay, empty: in the image; ``memory``: internal, no, or a file; ``others`` stay out."""
    kept = [_disk(target, file) for target, file in disks.items()]
    out = [element("disk", {"name": target, "snapshot": "no"}) for target in others]
    kind = {"snapshot": memory} if memory in ("internal", "no") else {"snapshot": EXTERNAL, "file": memory}
    parts = [element("name", text=name)]
    if description:
        parts.append(element("description", text=description))
    return text(element("domainsnapshot", {}, *parts, element("memory", kind), element("disks", {}, *kept, *out)))


def _disk(target: str, file: str) -> Element:
    if not file:
        return element("disk", {"name": target, "snapshot": "internal"})
    return element(
        "disk",
        {"name": target, "snapshot": EXTERNAL, "type": "file"},
        element("driver", {"type": "qcow2"}),
        element("source", {"file": file}),
    )
