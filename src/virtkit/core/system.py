"""The only door to this machine: files, commands, time. Tests hand out a directory instead of ``/``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.directories import sync_directory
from virtkit.core.errors import CommandError, NotFoundError, SystemCallError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
        """Put a whole file in place atomically and durably: beside the target, synced, then renamed."""
        target = self.path(absolute)
        beside = target.with_name(f".{target.name}.{os.getpid()}.new")
        try:
            fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            try:
                os.fchmod(fd, mode)
                os.write(fd, content)
                os.fsync(fd)
            finally:
                os.close(fd)
            beside.rename(target)
            sync_directory(target.parent)
        except OSError as error:
            beside.unlink(missing_ok=True)
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

        CommandError if it fails and ``check`` is set, or runs out of time; NotFoundError if it is not installed.
        """
        import subprocess  # most commands of virtkit run nothing, and this import costs 5 ms

        environment = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
        stdin = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
        try:
            done = subprocess.run(
                list(command), capture_output=True, text=True, timeout=timeout, check=False, env=environment, **stdin
            )
        except FileNotFoundError as error:
            raise NotFoundError(f"{command[0]}: not installed") from error
        except subprocess.TimeoutExpired as error:
            raise CommandError(command, -1, f"not done after {timeout:g} s") from error
        if check and done.returncode:
            raise CommandError(command, done.returncode, done.stderr or done.stdout)
        return Completed(done.returncode, done.stdout, done.stderr)

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


def is_root() -> bool:
    return os.geteuid() == 0
