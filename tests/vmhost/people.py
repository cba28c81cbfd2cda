"""Ordinary users of a host: a name in its passwd, a home, a runtime directory, no group, and libvirt's own session.

``Person.virtkit("vm", "list")`` runs as that user, and so does whatever it starts: ``libvirtd --timeout=120`` at
qemu:///session, which starts by itself, and the machines below it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from virtkit.vm.daemon import ENVIRONMENT

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from vmhost.hosts import Host

UID = 4242
MOVE_IN = """\
set -eu
for each in passwd group; do cp /etc/$each "$0/$each"; done
echo anna:x:{uid}:{uid}::/home/anna:/bin/sh >>"$0/passwd"
echo anna:x:{uid}: >>"$0/group"
for each in passwd group; do mount --bind "$0/$each" /etc/$each; done
mkdir -p "$0/home/anna" /run/user/{uid}
mount --bind "$0/home" /home
chown {uid}:{uid} /home/anna /run/user/{uid}
chmod 700 /home/anna /run/user/{uid}
"""


@dataclass(frozen=True)
class Person:
    host: Host

    @classmethod
    def at(cls, host: Host) -> Person:
        """The host's only one; moves in if there is nobody yet."""
        if not (host.folder / "home").exists():
            host.run("sh", "-c", MOVE_IN.format(uid=UID), str(host.folder))
        return cls(host)

    @property
    def home(self) -> Path:
        """As this process names it."""
        return self.host.folder / "home/anna"

    def run(self, *command: str, check: bool = True, text: str = "", uri: str = "") -> subprocess.CompletedProcess[str]:
        """A program as this user, to its end; ``uri`` is what virsh and virtkit speak to instead of the session."""
        who = ["setpriv", "--reuid", str(UID), "--regid", str(UID), "--clear-groups"]
        known = {"HOME": "/home/anna", "USER": "anna", "XDG_RUNTIME_DIR": f"/run/user/{UID}", "LC_ALL": "C.UTF-8"}
        chosen = {"LIBVIRT_DEFAULT_URI": uri} if uri else {}
        words = [f"{key}={value}" for key, value in {**ENVIRONMENT, **known, **chosen}.items()]
        return self.host.run(*who, "env", "-i", "-C", "/home/anna", *words, *command, check=check, text=text)

    def virtkit(self, *arguments: str, check: bool = True, uri: str = "") -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "virtkit", *arguments, check=check, uri=uri)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.virtkit(*arguments, "--output", "json").stdout)

    def virsh(self, *arguments: str, check: bool = True) -> str:
        return self.run("virsh", "-q", "-c", "qemu:///session", *arguments, check=check).stdout.strip()

    def define(self, xml: str) -> None:
        """By libvirt's own program."""
        assert not self.defining(xml)

    def defining(self, xml: str) -> str:
        """What that program says to it; nothing once it is done. The pipe that the test writes to is root's to open."""
        command = "cat >.xml && virsh -q define --validate .xml 2>&1 >/dev/null"
        return self.run("sh", "-c", command, text=xml, check=False).stdout
