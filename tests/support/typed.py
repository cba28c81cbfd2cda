"""What a person types, run in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Said:
    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr


def virtkit(folder: Path, *words: str | Path, typed: str = "", **environment: str) -> Said:
    """``virtkit disk`` with ``words``, in ``folder``; who it asks answers ``typed``."""
    command = [sys.executable, "-m", "virtkit", "disk", *map(str, words)]
    env = {**os.environ, "LC_ALL": "C.UTF-8", **environment}
    done = subprocess.run(  # in a session of its own: no terminal to ask on
        command,
        cwd=folder,
        env=env,
        input=typed,
        capture_output=True,
        start_new_session=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Said(done)


def qemu_img(folder: Path, *words: str | Path) -> Said:
    command = ["qemu-img", *map(str, words)]
    return Said(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60))
