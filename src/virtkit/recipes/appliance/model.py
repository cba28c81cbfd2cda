"""What a description of a machine comes to, whoever wrote it. All of it is somebody else's word."""

from __future__ import annotations

from typing import Literal, NamedTuple

MOST_DISKS, MOST_CARDS = 64, 32
MOST_MEMORY = 1 << 46  # bytes
MOST_CPUS = 4096
MOST_SIZE = 1 << 62  # bytes of a disk


class Disk(NamedTuple):
    file: str  # as it is named beside the description, or in its archive; empty: a disk with nothing on it
    size: int = 0  # bytes that a guest sees; 0: not said
    packed: bool = False  # by gzip
    bus: str = ""  # the controller's kind: scsi, sata, ide, nvme


class Card(NamedTuple):
    network: str  # as it is called over there
    mac: str = ""
    model: str = ""


class Appliance(NamedTuple):
    name: str
    memory: int  # bytes; 0: not said
    cpus: int  # 0: not said
    disks: tuple[Disk, ...]
    cards: tuple[Card, ...]
    firmware: Literal["bios", "efi", "secure"] = "bios"
    tpm: bool = False
    os: str = ""  # as its maker calls it
    windows: bool = False
    configuration: str = ""  # which of several OVF deployment options; empty: there is one
    left_out: tuple[str, ...] = ()  # devices that the new machine will not have
