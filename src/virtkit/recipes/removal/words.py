"""What the plan of a removal says of each file, and of those that stay."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

from virtkit.core.units import format_size
from virtkit.recipes.removal.inventory import aside
from virtkit.vm import homes
from virtkit.vm.migration import storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.recipes.removal.inventory import Inventory, Item
    from virtkit.recipes.removal.shelf import Shelf
    from virtkit.vm.machine import Machine


def told(item: Item, shelf: Shelf) -> str:
    """With what is inside an image: it goes, too."""
    info = shelf.look(item.path) if item.image else None
    if info is None:
        return item.what
    bitmaps = (info.facts.specific or {}).get("bitmaps")
    inside = {
        "snapshots": [str(each.get("name")) for each in info.facts.snapshots],
        "bitmaps": [str(each.get("name")) for each in bitmaps] if isinstance(bitmaps, (list, tuple)) else [],
    }
    words = " and ".join(f"{kind} {', '.join(names)}" for kind, names in inside.items() if names)
    return f"{item.what} with {words} in it" if words else item.what


def size(path: str, uuid: str = "") -> int:
    """Bytes on the file system, of a directory with all that is in it; whichever name it has."""
    if uuid and not os.path.lexists(path):
        path = aside(path, uuid)
    files = [path, *(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)]
    return sum(os.lstat(file).st_blocks * 512 for file in files if os.path.lexists(file))


def notes(
    machine: Machine, found: Inventory, targets: tuple[str, ...], system: System, *, trash: bool
) -> Iterator[str]:
    """What stays and why, and what nothing brings back."""
    if machine.active:
        yield "its plug is pulled: what the guest has not written yet is lost"
    for path, why in found.kept.items():
        yield f"stays: {path}{_in_brackets(path)}: {why}"
    for path in found.items:
        if (kind := storage.file_system(path, system)) in storage.SHARED:
            yield f"{path}: is on {kind}, and machines of other hosts that stand on it are not seen from here"
    yield from (f"is not there: {path}, {what}" for path, what in found.missing.items())
    yield from (f"stays: {path}{_in_brackets(path)}: a log" for path in _logs(machine))
    yield from (f"stays: {target}: backups of {machine.name}" for target in targets)
    if trash:
        folders = sorted({os.path.dirname(path) for path in found.items})
        room = " ".join(f"{folder}/.*.removed-{machine.uuid[:8]}" for folder in folders)
        yield f"undo brings all of it back; the room is free after: rm -r {room}"
    elif found.items:
        yield "final once the files are deleted; --trash only renames them, and undo brings all of it back"


def _logs(machine: Machine) -> list[str]:
    home = homes.of(machine.uri)
    name = glob.escape(machine.name)
    of_serial = [node.get("file", "") for node in machine.next_start().node.findall("devices//log")]
    found = [*glob.glob(f"{home.logs}/{name}.log*"), *glob.glob(f"{home.tpm_logs}/{name}-swtpm.log*")]
    return [path for path in dict.fromkeys([*found, *of_serial]) if os.path.exists(path)]


def _in_brackets(path: str) -> str:
    return f" ({format_size(size(path))})" if os.path.isfile(path) else ""
