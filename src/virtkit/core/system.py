"""The only door to this machine: files, commands, time. Tests hand out a directory instead of ``/``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core import offspring
from virtkit.core.directories import replacing
from virtkit.core.errors import CommandError, NotFoundError, SystemCallError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from subprocess import Popen


class Completed(NamedTuple):
    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class System:
    """Paths are absolute, as on the host; ``root`` is put in front of them."""

    root: Path = Path("/")

    def path(self, absolute: str) -> Path:
        return self.root / absolute.lstrip("/")

    def exists(self, absolute: str) -> bool:
        return os.path.lexists(self.path(absolute))

    def read(self, absolute: str) -> str:
        """The file's text without white space at its ends, as kernel files are read; NotFoundError, SystemCallError."""
        try:
            return self.path(absolute).read_text(errors="surrogateescape").strip()
        except FileNotFoundError as error:
            raise NotFoundError(f"{absolute}: no such file") from error
        except OSError as error:
            raise SystemCallError(f"read {absolute}", error) from error

    def read_or(self, absolute: str, default: str) -> str:
        """As ``read``; ``default`` where the file is absent or the kernel will not show it (EINVAL, EPERM ...)."""
        try:
            return self.read(absolute)
        except (NotFoundError, SystemCallError):
            return default

    def write(self, absolute: str, text: str) -> None:
        """Write in place: for kernel files, which cannot be renamed onto."""
        try:
            self.path(absolute).write_text(text, errors="surrogateescape")
        except OSError as error:
            raise SystemCallError(f"write {absolute}", error) from error

    def replace(self, absolute: str, content: bytes, mode: int = 0o644) -> None:
        """Put a whole file in place, as ``replacing`` does."""
        try:
            with replacing(self.path(absolute)) as file:
                file.write(content)
                os.fchmod(file.fileno(), mode)
        except OSError as error:
            raise SystemCallError(f"write {absolute}", error) from error

    def remove(self, absolute: str) -> None:
        """Delete a file; nothing to do if it is gone already."""
        try:
            self.path(absolute).unlink(missing_ok=True)
        except OSError as error:
            raise SystemCallError(f"remove {absolute}", error) from error

    def names(self, absolute: str) -> list[str]:
        """What a directory holds, sorted; nothing where there is no such directory."""
        try:
            return sorted(os.listdir(self.path(absolute)))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise SystemCallError(f"list {absolute}", error) from error

    def run(
        self,
        command: Sequence[str],
        *,
        text: str | None = None,
        timeout: float = 60,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a program to its end; its locale is C, ``timeout`` is in seconds.

        CommandError if it fails and ``check`` is set, or runs out of time: then it is ended, with what it started
        (core/offspring). NotFoundError if it is not installed.
        """
        import subprocess  # most commands of virtkit run nothing, and this import costs 5 ms

        pipe, stdin = subprocess.PIPE, subprocess.DEVNULL if text is None else subprocess.PIPE
        environment = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {}), **offspring.marked()}
        try:
            with subprocess.Popen(
                command, stdin=stdin, stdout=pipe, stderr=pipe, text=True, env=environment, process_group=0
            ) as running:
                stdout, stderr = _said(running, text, timeout)
        except FileNotFoundError as error:
            raise NotFoundError(f"{command[0]}: not installed") from error
        except OSError as error:
            raise SystemCallError(f"run {command[0]}", error) from error
        except subprocess.TimeoutExpired as error:
            raise CommandError(command, -1, f"not done after {timeout:g} s") from error
        if check and running.returncode:
            raise CommandError(command, running.returncode, stderr or stdout)
        return Completed(running.returncode, stdout, stderr)

    def hand_over(self, command: Sequence[str]) -> None:
        """Let a program have our terminal to its end: an editor. CommandError if it fails, NotFoundError if missing."""
        import subprocess

        try:
            status = subprocess.run(command, check=False).returncode
        except FileNotFoundError as error:
            raise NotFoundError(f"{command[0]}: not installed", hint="export EDITOR=nano") from error
        if status:
            raise CommandError(command, status, "nothing was changed")

    def spawn(self, command: Sequence[str]) -> None:
        """Start a program that outlives us: in a session of its own, nobody's child, with no file of ours open.

        What becomes of it is not told: who needs to know lets it give a sign.
        """
        import subprocess

        nowhere = subprocess.DEVNULL
        orphan = ["sh", "-c", '"$@" &', "sh", *command]
        subprocess.run(
            orphan, stdin=nowhere, stdout=nowhere, stderr=nowhere, cwd="/", start_new_session=True, check=False
        )


def _said(running: Popen[str], text: str | None, timeout: float) -> tuple[str, str]:
    try:
        return running.communicate(text, timeout)
    except BaseException:
        offspring.end(running.pid)
        running.wait()
        raise


def is_root() -> bool:
    return os.geteuid() == 0
