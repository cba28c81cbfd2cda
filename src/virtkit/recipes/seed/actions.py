"""The seed's file, as the journal writes it down."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import ConflictError, SystemCallError, VerifyError
from virtkit.core.plan import Action
from virtkit.recipes.seed import nocloud
from virtkit.recipes.seed.nocloud import Seed

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

_MODE = 0o600  # a user-data may hold passwords; libvirt hands the file to QEMU's own user


@dataclass(frozen=True)
class WriteSeed(Action):
    """``user_data`` and ``network`` are the paths of files: what they hold does not get into the journal."""

    kind: ClassVar[str] = "recipes.write_seed"
    sign: ClassVar[str] = "+"

    path: str
    hostname: str
    instance: str
    user: str
    keys: list[str]
    network: str = ""
    user_data: str = ""

    def describe(self) -> str:
        who = f"user-data of {self.user_data}" if self.user_data else f"user {self.user or 'of the image'}"
        return f"{self.path}: cloud-init seed, hostname {self.hostname}, {who}"

    def capture(self, system: System) -> Json:
        try:
            return hashlib.sha256(system.path(self.path).read_bytes()).hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SystemCallError(f"read {self.path}", error) from error

    def apply(self, system: System, report: Sink) -> None:
        if system.exists(self.path):
            raise ConflictError(f"{self.path}: exists already", hint=f"ls -l {self.path}")
        system.replace(self.path, self.content(system), _MODE)

    def verify(self, system: System) -> None:
        if self.capture(system) != hashlib.sha256(self.content(system)).hexdigest():
            raise VerifyError(self.describe(), "holds other bytes")

    def undo(self, system: System, before: Json) -> None:
        if before is None:
            system.remove(self.path)

    def content(self, system: System) -> bytes:
        """The image. UsageError, NotFoundError: the plan's maker asks for it, so that nothing is refused later."""
        return nocloud.image(
            Seed(
                self.hostname,
                self.instance,
                self.user,
                tuple(self.keys),
                self._said(system, self.network),
                self._said(system, self.user_data),
            )
        )

    def _said(self, system: System, path: str) -> str:
        return nocloud.given(os.fspath(system.path(path))) if path else ""
