"""Drivers for the new devices, put into a Linux guest by virt-v2v-in-place (libguestfs) where it is installed.

It knows every distribution's boot loader and initramfs. It opens the disks in a machine of its own: this host's kernel
never reads the guest's file systems. virt-v2v-in-place(1).
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import CommandError, MachineError
from virtkit.core.plan import Action
from virtkit.core.progress import Note

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.recipes.appliance.model import Appliance

PROGRAM = "virt-v2v-in-place"
_HOMES = ("/usr/bin", "/usr/libexec")  # Debian's and Fedora's
_LINUX = re.compile(
    r"linux|debian|ubuntu|centos|rhel|red ?hat|suse|sles|fedora|oracle|rocky|alma|gentoo|arch", re.IGNORECASE
)
_LONGEST = 3 * 3600  # seconds: its own machine is emulated where KVM is not usable
_OWN = re.compile(r"^virt-v2v[a-z-]*: error: (.+)", re.MULTILINE)


def is_linux(found: Appliance) -> bool:
    """As far as its description says."""
    return not found.windows and bool(_LINUX.search(found.os))


def installed(system: System) -> str:
    """Its path; empty where it is not."""
    return next((path for home in _HOMES if system.exists(path := f"{home}/{PROGRAM}")), "")


@dataclass(frozen=True)
class FitGuest(Action):
    """Writes into the new disks alone, which go with the import if it fails."""

    kind: ClassVar[str] = "recipes.fit_guest"
    unseen: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = True

    program: str
    name: str
    xml: str  # the new machine's
    kvm: bool

    def describe(self) -> str:
        return f"machine {self.name}: {PROGRAM} puts virtio's drivers into the guest"

    def capture(self, system: System) -> Json:
        return None

    def apply(self, system: System, report: Sink) -> None:
        pace = "minutes" if self.kvm else "it runs emulated: a quarter of an hour, or more"
        report(Note(self.describe(), pace))
        settings = {} if self.kvm else {"LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
        with tempfile.NamedTemporaryFile("w", prefix="virtkit-", suffix=".xml") as file:
            file.write(self.xml)
            file.flush()
            command = [self.program, "-i", "libvirtxml", file.name]
            try:
                system.run(command, timeout=_LONGEST, env={"LIBGUESTFS_BACKEND": "direct", **settings})
            except CommandError as error:
                why = next(iter(_OWN.findall(error.stderr)), error.message)
                hint = "--drivers none, to import it as it is; --bus sata, if it does not boot then"
                raise MachineError(f"{self.name}: {PROGRAM}: {why}", hint=hint) from error

    def verify(self, system: System) -> None:
        """It inspects the guest itself, before and after."""

    def undo(self, system: System, before: Json) -> None:
        """The disks that it wrote to go by themselves."""
