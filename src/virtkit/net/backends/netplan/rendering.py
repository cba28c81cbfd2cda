"""netplan's own view of its files: what ``netplan generate`` makes of a copy of them, and what it refuses."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from virtkit.core.files import text_of
from virtkit.net.backends.netplan.configuration import DIRECTORIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.system import Completed, System
    from virtkit.net.backend import File

NETWORKD, PROFILES = "/run/systemd/network", "/run/NetworkManager/system-connections"
GENERATE = ("netplan", "generate")
PATIENCE = 60.0  # seconds; half of one is usual
PLACE = re.compile(r":\d+:\d+:|[Ee]rror")  # of a line that says what is wrong; others quote the file, or are noise


@dataclass(frozen=True)
class Rendered:
    files: dict[str, str]  # path as on the host -> text, for networkd and NetworkManager
    problems: list[str]  # ``/etc/netplan/50.yaml:7:3: Error in network definition: ...``; empty: it takes the files


def render(system: System, files: Sequence[File] = ()) -> Rendered:
    """Of the files as they are, with ``files`` in their places. The copy is root's alone: it may hold Wi-Fi keys."""
    with tempfile.TemporaryDirectory(prefix="virtkit-netplan-") as place:
        for path, text in _texts(system, files).items():
            _write(Path(place + path), text)
        _merged_usr(Path(place))
        done = system.run([*GENERATE, "--root-dir", place], timeout=PATIENCE, check=False)
        return Rendered(_found(Path(place)), _said(done, place) if done.status else [])


def _texts(system: System, files: Sequence[File]) -> dict[str, str]:
    """In each directory by itself: a file that hides another one does so in the copy, too."""
    paths = [f"{place}/{name}" for place in DIRECTORIES for name in system.names(place) if name.endswith(".yaml")]
    texts = {path: text_of(system, path) for path in paths} | {file.path: file.text for file in files}
    return {path: text for path, text in texts.items() if text is not None}


def _merged_usr(place: Path) -> None:
    """/usr/lib is where some look for /lib."""
    (place / "lib").mkdir(exist_ok=True)
    (place / "usr").mkdir()
    (place / "usr/lib").symlink_to("../lib")


def _said(done: Completed, place: str) -> list[str]:
    lines = [line.replace(place, "") for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    return [line for line in lines if PLACE.search(line)] or lines[-1:] or [f"exit status {done.status}"]


def _write(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.touch(mode=0o600)
    target.write_bytes(text.encode("utf-8", "surrogateescape"))


def _found(place: Path) -> dict[str, str]:
    return {
        f"/{path.relative_to(place)}": path.read_text(errors="surrogateescape")
        for directory in (NETWORKD, PROFILES)
        for path in sorted(place.glob(f"{directory.lstrip('/')}/*"))
        if path.is_file()
    }
