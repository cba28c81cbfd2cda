"""Loop-mounted file systems of the bench."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from virtkit.core.units import GIB

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SIZE = 24 * GIB  # bytes; of a sparse file


def mounted(folder: Path, kind: str) -> Path:
    """``folder``/``kind``, a file system of that kind; made and mounted where it is not yet.

    What earlier runs deleted in it is no room lost outside.
    """
    place, image = folder / kind, folder / f"{kind}.img"
    place.mkdir(exist_ok=True)
    if not place.is_mount():
        if not image.exists():
            _make(kind, image)
        subprocess.run(["mount", "-o", "loop", image, place], check=True)
    subprocess.run(["fstrim", place], check=True)
    return place


def _make(kind: str, image: Path) -> None:
    unfinished = image.with_suffix(".new")
    with unfinished.open("wb") as file:
        file.truncate(_SIZE)
    subprocess.run([f"mkfs.{kind}", "-q", unfinished], check=True)
    unfinished.rename(image)


def unmount(folder: Path, kinds: Iterable[str]) -> None:
    for kind in kinds:
        if (folder / kind).is_mount():
            subprocess.run(["umount", folder / kind], check=True)
