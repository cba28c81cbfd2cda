"""What a person asks for when a machine is to be made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from virtkit.recipes.workload import Workload
    from virtkit.vm.blueprint import Firmware, Nic

By = Literal["copy", "reflink", "overlay", "in-place"]


@dataclass(frozen=True)
class Storage:
    """Its first disk, and what it boots from. Paths are absolute; sizes are bytes."""

    image: str = ""  # empty: the disk is new and empty, or of ``tree``; POOL:VOLUME, as ``path`` and ``iso``
    image_format: str | None = None  # raw has to be said
    by: By = "copy"  # how the image becomes the machine's disk
    allow_backing: bool = False  # the image may name backing files outside of its directory
    tree: str = ""  # a directory with a root file system, and a kernel in it
    path: str = ""  # of the disk; empty: NAME.qcow2 in ``directory``
    pool: str = ""  # of libvirt's, in which the disk is made
    directory: str = ""  # for the disk; empty: libvirt's own for images
    format: Literal["qcow2", "raw"] = "qcow2"
    size: int | None = None  # a disk from an image only grows
    iso: str = ""  # an installer, in a CD-ROM drive
    pxe: bool = False


@dataclass(frozen=True)
class Login:
    """What cloud-init does at the first boot; files by their absolute paths."""

    hostname: str = ""  # empty: the machine's name
    user: str = ""
    key_files: tuple[str, ...] = ()
    network: str = ""
    user_data: str = ""


@dataclass(frozen=True)
class Order:
    name: str
    storage: Storage
    memory: int | None = None  # bytes; None: what the operating system is known to need
    cpus: int | None = None  # likewise
    nics: tuple[Nic, ...] | None = None  # None: the usual one
    os: str = ""  # libosinfo's short id, as debian12
    login: Login | None = None
    firmware: Firmware | None = None  # None: BIOS, unless the operating system boots by UEFI alone
    tpm: bool = False
    screen: bool = False
    workload: Workload = "web"
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    serial_log: str = ""
    autostart: bool = False
    start: bool = False


class Way(NamedTuple):
    """How one machine becomes two."""

    by: Literal["copy", "reflink", "overlay"] = "copy"
    directory: str = ""  # of the new disks; empty: beside the old ones
    login: Login | None = None
    start: bool = False
