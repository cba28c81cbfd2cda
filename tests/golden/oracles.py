"""The other tools as readers: each copies what a guest sees in an image into a raw file, or says why it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from golden.recipes import SECRET

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "--object secret,id=k,file=key"


class Sample(NamedTuple):
    """An image of ours in a directory of its own, with all that belongs to it and the passphrase in ``key``."""

    folder: Path
    file: str
    format: str
    feature: str
    backing: str = ""
    secret: bool = False

    @property
    def options(self) -> str:
        """The image as ``--image-opts`` of QEMU; encrypted ones cannot be told otherwise."""
        key = "key-secret" if self.format == "luks" else "encrypt.key-secret"
        return f"driver={self.format},file.filename={self.file}" + (f",{key}=k" if self.secret else "")


class Oracle(NamedTuple):
    name: str
    root: str  # of its chroot; "": this machine
    formats: frozenset[str]
    read: str  # command with {options}, {file}, {format}, {kind}, {backing}; writes seen.raw
    check: str = ""  # command that ends with 0 where the metadata are sound
    refuses: frozenset[str] = frozenset()  # sub-formats that this tool says it does not support

    def knows(self, sample: Sample) -> bool:
        return sample.format in self.formats and sample.feature not in self.refuses

    def reads(self, sample: Sample) -> bytes:
        """CalledProcessError where the tool refuses the image, or finds faults in it."""
        with tempfile.TemporaryDirectory(dir=f"{self.root}/work" if self.root else None) as place:
            folder = Path(place)
            for path in sample.folder.iterdir():
                shutil.copy2(path, folder / path.name)
            (folder / "key").write_text(SECRET)
            (folder / "seen.raw").unlink(missing_ok=True)
            for command in filter(None, (self.check if not sample.secret else "", self.read)):
                self._run(command, folder, sample)
            return (folder / "seen.raw").read_bytes()

    def _run(self, command: str, folder: Path, sample: Sample) -> None:
        words = command.format(**sample._asdict() | {"options": sample.options}, kind=sample.format.upper())
        subprocess.run(self._place(words, folder), capture_output=True, check=True, timeout=180)

    def _place(self, words: str, folder: Path) -> Sequence[str]:
        if not self.root:
            return ["sh", "-ec", f"cd {folder}; {words}"]
        return ["chroot", self.root, "sh", "-ec", f"cd /{folder.relative_to(self.root)}; export HOME=/root; {words}"]


_QEMU = frozenset({"raw", "qcow2", "qcow", "vmdk", "vdi", "luks"})
_QEMU_READ = f"qemu-img convert {KEY} --image-opts {{options}} -O raw seen.raw"
_VDI_CHILD = frozenset({"differencing"})
_NOT_VBOX = frozenset(
    {
        "monolithicSparse, zeroed grains",  # "unsupported version"
        "delta with parent",  # it knows a parent by a UUID that only its own images have, and reads zeros
    }
)
_QEMU_CHECK = "case {format} in qcow2|vmdk|vdi) qemu-img check -f {format} {file};; esac"
_VBOX = """\
manage=/usr/lib/virtualbox/VBoxManage
if [ -n '{backing}' ]; then # VirtualBox finds the parent of a disk among the disks of its machines alone
    machine=sample$$
    $manage createvm --name $machine --basefolder $PWD --register
    $manage storagectl $machine --name sata --add sata --portcount 1
    $manage storageattach $machine --storagectl sata --port 0 --device 0 --type hdd --medium $PWD/{backing}
    trap '$manage unregistervm $machine' EXIT
fi
$manage mediumio --disk=$PWD/{file} cat --output=$PWD/seen.raw"""


def oracles() -> list[Oracle]:
    """Those that are here: this machine's QEMU, and what oracle.sh made below $VIRTKIT_ORACLE."""
    found = [
        Oracle(_version("", "qemu-img --version"), "", _QEMU, _QEMU_READ, _QEMU_CHECK, _VDI_CHILD),
        Oracle("uml_moo", "", frozenset({"cow"}), "uml_moo {file} seen.raw", refuses=frozenset({"QEMU's"})),
    ]
    place = os.environ.get("VIRTKIT_ORACLE", "")
    if place:
        trixie, sid = f"{place}/trixie", f"{place}/sid"
        found += [
            Oracle(_version(trixie, "qemu-img --version"), trixie, _QEMU, _QEMU_READ, _QEMU_CHECK, _VDI_CHILD),
            Oracle(
                "VirtualBox",
                sid,
                frozenset({"vdi", "vmdk"}),
                _VBOX,
                refuses=_NOT_VBOX,
            ),
        ]
    return found


def _version(root: str, command: str) -> str:
    words = ["chroot", root, *command.split()] if root else command.split()
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return f"QEMU {said.split()[2].rpartition('.')[0]}"
