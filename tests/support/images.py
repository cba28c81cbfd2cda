"""Disk images that QEMU's tools made, of every kind that we read."""

from __future__ import annotations

import random
import subprocess
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

KIB, MIB = 1 << 10, 1 << 20
SECRET = b"the passphrase of all specimens"
SIZE = 5 * MIB + 7 * 512  # bytes; no multiple of any cluster
VDI_DATA = 2 * MIB  # where virtkit puts the first block of an image, behind the map, if there are at most 2**18 blocks


class Specimen(NamedTuple):
    format: str
    options: str = ""  # of qemu-img convert
    script: tuple[str, ...] = ()  # qemu-io commands that follow

    def __str__(self) -> str:
        return " ".join((self.format, self.options, *self.script)).strip()

    @property
    def keys(self) -> tuple[str, ...]:
        """What makes ``key-secret=key`` known to QEMU's tools."""
        return ("--object", f"secret,id=key,data={SECRET.decode()}") if "key-secret" in self.options else ()

    def make(self, folder: Path) -> tuple[Path, bytes]:
        """An image in ``folder``, and what a guest reads from it."""
        source, image = folder / "source.raw", folder / f"image.{self.format}"
        source.write_bytes(disk())
        run(
            "qemu-img",
            "convert",
            *self.keys,
            "-f",
            "raw",
            "-O",
            self.format,
            *self.options.format(folder=folder).split(),
            source,
            image,
        )
        for command in self.script:
            run("qemu-io", "-f", self.format, "-c", command, image)
        return image, read_by_qemu(image, self.format, self.keys)


SPECIMENS = (
    Specimen("raw"),
    Specimen("qcow2"),
    Specimen("qcow2", "-o compat=0.10"),
    Specimen("qcow2", "-o cluster_size=512"),
    Specimen("qcow2", "-o cluster_size=2M"),
    Specimen("qcow2", "-o preallocation=metadata"),
    Specimen("qcow2", "-o refcount_bits=1"),
    Specimen("qcow2", "-o refcount_bits=64,lazy_refcounts=on"),
    Specimen("qcow2", "-S 0", ("write -z 64k 256k", "write -z -u 1M 1M")),
    Specimen("qcow2", "", ("write -P 7 4500k 512",)),
    Specimen("qcow2", "-c"),
    Specimen("qcow2", "-c -o compat=0.10"),
    Specimen("qcow2", "-c -o cluster_size=512"),
    Specimen("qcow2", "-c -o cluster_size=2M"),
    Specimen("qcow2", "-c", ("write -P 9 100k 200k", "write -z 1M 256k")),
    Specimen("qcow2", "-c -o compression_type=zstd"),
    Specimen("qcow2", "-c -o compression_type=zstd,cluster_size=4k"),
    Specimen("qcow2", "-o extended_l2=on", ("write -P 8 3k 70k", "write -z 1026k 40k", "discard 2M 100k")),
    Specimen("qcow2", "-c -o extended_l2=on,cluster_size=16k", ("write -P 8 3k 70k", "write -z 1026k 40k")),
    Specimen("qcow"),
    Specimen("qcow", "", ("write -P 7 4500k 512", "write -P 8 3k 70k")),
    Specimen("vmdk"),
    Specimen("vmdk", "-o zeroed_grain=on", ("write -z 1M 256k",)),
    Specimen("vmdk", "-o compat6"),
    Specimen("vmdk", "-o subformat=streamOptimized"),
    Specimen("vmdk", "-o subformat=monolithicFlat"),
    Specimen("vmdk", "-o subformat=twoGbMaxExtentSparse"),
    Specimen("vmdk", "-o subformat=twoGbMaxExtentFlat"),
    Specimen("vdi"),
    Specimen("vdi", "-o static=on"),
)


ENCRYPTED = (  # with SECRET
    Specimen("luks", "-o key-secret=key,iter-time=10"),
    Specimen("qcow", "-o encrypt.format=aes,encrypt.key-secret=key"),
)


@cache
def disk() -> bytes:
    """Random bytes, text-like bytes, zeros and holes in pieces of odd sizes; the same every time."""
    chance = random.Random(5)
    data = bytearray(SIZE)
    at = 0
    while at < SIZE:
        length = min(512 * chance.randrange(1, 500), SIZE - at)
        kind = chance.randrange(4)
        if kind == 0:
            data[at : at + length] = chance.randbytes(length)
        elif kind == 1:
            data[at : at + length] = (chance.randbytes(40) * (length // 40 + 1))[:length]
        at += length
    return bytes(data)


def read_by_qemu(image: Path, format_: str, keys: tuple[str, ...] = ()) -> bytes:
    """The guest's bytes as qemu-img sees them. ``keys``: of an encrypted image, see Specimen."""
    back = image.with_name("back.raw")
    if keys:
        key = "key-secret=key" if format_ == "luks" else "encrypt.key-secret=key"
        opened: tuple[str, ...] = ("--image-opts", f"driver={format_},{key},file.filename={image}")
    else:
        opened = ("-f", format_, str(image))
    run("qemu-img", "convert", *keys, *opened, "-O", "raw", back)
    data = back.read_bytes()
    back.unlink()
    return data


def require_same_data(source: Path, image: Path, at: int, size: int) -> None:
    """QEMU finds the raw disk ``source``, and zeros behind it, in ``image`` from byte ``at`` on."""
    window = f"driver=raw,offset={at},size={size},file.filename={image}"
    run("qemu-img", "compare", "-q", "--image-opts", f"driver=raw,file.filename={source}", window)


def run(*command: str | Path) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    for _ in range(20):
        if "Unable to get accurate CPU usage" not in done.stderr:  # QEMU 7.2 times its own LUKS hashes, and often fails
            break
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
