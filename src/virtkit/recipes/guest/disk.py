"""The guest's disk: one FAT partition that a BIOS boots by syslinux, made in a plain file without mounting it."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Annotated

from virtkit.core.structs import Struct, array, layout, u8, u32
from virtkit.core.units import GIB, KIB, MIB, SECTOR

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from virtkit.core.system import System

SIZE = GIB  # bytes; sparse: what is in it takes some tens of MiB
START = MIB  # bytes; where the partition starts
LABEL = "VIRTKIT"  # rootfs/lib/virtkit/disk looks for it
SERIAL = 0x56_4B_44_47  # of the disk and of the FAT: a constant, so that equal packages give an equal disk
PAYLOAD_SIZE = 8 * MIB  # incompressible: conversions and compression have something real to do
BOOT_CODE = "usr/lib/syslinux/mbr/mbr.bin"
BOOT_CODE_SIZE = 440  # bytes
MODIFIED = 1_700_000_000  # seconds since 1970; every file's time

FAT32_LBA = 0x0C
ACTIVE = 0x80
BEYOND_CHS = b"\xfe\xff\xff"  # addresses that do not fit into cylinder, head, sector
BOOT_SIGNATURE = b"\x55\xaa"

_CONFIG = """\
SERIAL 0 115200
DEFAULT guest
PROMPT 0
LABEL guest
  KERNEL /vmlinuz
  INITRD /initrd.gz
  APPEND console=ttyS0 quiet panic=5
"""
_README = """\
virtkit demo guest: made from the distribution's packages, to be converted, booted and moved about.
payload.bin is the same in every build; sha256sum -c SHA256SUMS tells whether it survived.
"""


@layout("<")
class Partition(Struct):
    """An entry of the partition table (UEFI specification 2.10, table 5-2)."""

    status: u8
    first_chs: Annotated[bytes, array(3)]
    type: u8
    last_chs: Annotated[bytes, array(3)]
    first_sector: u32
    sectors: u32


@layout("<")
class MasterBootRecord(Struct):
    """The disk's first sector (UEFI specification 2.10, table 5-1); one partition, three empty entries."""

    boot_code: Annotated[bytes, array(BOOT_CODE_SIZE)]
    serial: u32
    unknown: Annotated[bytes, array(2)]
    partition: Annotated[bytes, array(16)]
    empty: Annotated[bytes, array(48)]
    signature: Annotated[bytes, array(2)]


def build(image: Path, kernel: bytes, initramfs: bytes, tools: Path, system: System) -> None:
    """Make ``image``, with the programs of the packages unpacked below ``tools``."""
    payload = hashlib.shake_256(b"virtkit demo guest").digest(PAYLOAD_SIZE)
    with image.open("xb") as file:
        file.write(_boot_record((tools / BOOT_CODE).read_bytes()))
        file.truncate(SIZE)
    files = {
        "vmlinuz": kernel,
        "initrd.gz": initramfs,
        "syslinux.cfg": _CONFIG.encode(),
        "README.TXT": _README.encode(),
        "payload.bin": payload,
        "SHA256SUMS": f"{hashlib.sha256(payload).hexdigest()}  payload.bin\n".encode(),
    }
    _fill(image, files, tools, system)


def _boot_record(code: bytes) -> bytes:
    first, sectors = START // SECTOR, (SIZE - START) // SECTOR
    partition = Partition(ACTIVE, BEYOND_CHS, FAT32_LBA, BEYOND_CHS, first, sectors)
    code = code.ljust(BOOT_CODE_SIZE, b"\0")
    return MasterBootRecord(code, SERIAL, bytes(2), partition.pack(), bytes(48), BOOT_SIGNATURE).pack()


def _fill(image: Path, files: Mapping[str, bytes], tools: Path, system: System) -> None:
    beside = image.with_suffix(".files")
    beside.mkdir()
    for name, content in files.items():
        (beside / name).write_bytes(content)
        os.utime(beside / name, (MODIFIED, MODIFIED))
    places = ":".join(str(tools / folder) for folder in ("sbin", "usr/sbin", "usr/bin"))
    env = {
        "PATH": f"{places}:{os.environ.get('PATH', os.defpath)}",  # syslinux runs mtools
        "MTOOLSRC": os.devnull,
        "SOURCE_DATE_EPOCH": str(MODIFIED),
        "TZ": "UTC",  # FAT keeps local time
    }
    partition = ["-i", f"{image}@@{START}"]
    sources = [str(beside / name) for name in files]
    system.run(_format(image), env=env)
    system.run(["mcopy", "-m", *partition, *sources, "::/"], env=env)
    system.run(["syslinux", "--offset", str(START), "--install", str(image)], env=env)


def _format(image: Path) -> list[str]:
    """The hidden sectors are those before the partition: syslinux's boot sector counts from the disk's start."""
    before = str(START // SECTOR)
    return [
        *("mkfs.fat", "--invariant", "-F", "32", "-n", LABEL, "-i", f"{SERIAL:08x}"),
        *("-h", before, "--offset", before, str(image), str((SIZE - START) // KIB)),
    ]
