"""qcow2 images of every kind that QEMU makes, for tests that write to them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from support.images import run
from virtkit.disk.access import Access

SECRET = b"abc"
_KEY = ["--object", f"secret,id=key,data={SECRET.decode()}"]


class Make(NamedTuple):
    """Options of ``qemu-img create``; ``coded``: filled with compressed clusters; ``backed``: on a raw file."""

    options: str = ""
    coded: bool = False
    backed: bool = False
    encrypted: str = ""  # luks or aes, with SECRET

    def __str__(self) -> str:
        words = (self.encrypted, self.options, "compressed" if self.coded else "", "backed" if self.backed else "")
        return " ".join(filter(None, words)) or "plain"

    def create(self, folder: Path, disk: bytes) -> Path:
        """An image that reads as ``disk``: zeros, unless it is coded or backed."""
        image, source = folder / "image.qcow2", folder / "below.raw"
        for old in folder.glob("image.*"):
            old.unlink()
        options = self.options.format(folder=folder)
        source.write_bytes(disk)
        chosen = ["-o", options] if options else []
        if self.encrypted and (template := folder / "template").exists():  # QEMU takes seconds for its key
            return Path(shutil.copyfile(template, image))
        if self.encrypted:
            chosen += [*_KEY, "-o", f"encrypt.format={self.encrypted},encrypt.key-secret=key"]
        if self.encrypted == "luks":
            chosen += ["-o", "encrypt.iter-time=10"]
        if self.coded:
            below = ["-B", str(source), "-F", "raw"] if self.backed else []
            run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", *chosen, *below, source, image)
        else:
            below = ["-b", source.name, "-F", "raw"] if self.backed else []
            run("qemu-img", "create", "-q", "-f", "qcow2", *below, *chosen, image, str(len(disk)))
        if self.encrypted:
            shutil.copyfile(image, folder / "template")
        return image

    def words(self, image: Path) -> list[str]:
        """How qemu-img is told of it."""
        if not self.encrypted:
            return ["-f", "qcow2", str(image)]
        return [*_KEY, "--image-opts", f"driver=qcow2,file.filename={image},encrypt.key-secret=key"]

    @property
    def access(self) -> Access:
        return Access(secret=SECRET if self.encrypted else None)

    def check(self, image: Path) -> None:
        """Neither an error nor a leak, as qemu-img sees it."""
        assert "No errors were found" in run("qemu-img", "check", *self.words(image))

    def read(self, image: Path) -> bytes:
        """What a guest under QEMU reads."""
        other = image.with_name("back.raw")
        run("qemu-img", "convert", *self.words(image), "-O", "raw", other)
        return other.read_bytes()

    @property
    def filled(self) -> bool:
        return self.coded or self.backed


PLAIN = (
    Make(),
    Make("compat=0.10"),
    Make("cluster_size=512"),
    Make("cluster_size=512,refcount_bits=64"),
    Make("cluster_size=2M"),
    Make("preallocation=metadata"),
    Make("refcount_bits=1"),
    Make("refcount_bits=2,cluster_size=4k"),
    Make("refcount_bits=32"),
    Make("refcount_bits=64,lazy_refcounts=on"),
    Make("extended_l2=on"),
    Make("extended_l2=on,cluster_size=16k"),
    Make(coded=True),
    Make("cluster_size=4k,compression_type=zstd", coded=True),
    Make("extended_l2=on", coded=True),
    Make(backed=True),
    Make("compat=0.10", backed=True),
    Make("extended_l2=on", backed=True),
)
LOCKED = (
    Make(encrypted="aes"),
    Make("cluster_size=4k", encrypted="luks"),
    Make("extended_l2=on,cluster_size=16k", encrypted="luks"),
)
OUTSIDE = (
    Make("data_file={folder}/image.data"),
    Make("data_file={folder}/image.data,extended_l2=on"),
    Make("data_file={folder}/image.data,data_file_raw=on"),
)


def assert_clean(image: Path) -> None:
    """Neither an error nor a leak, as qemu-img sees it."""
    assert "No errors were found" in run("qemu-img", "check", "-f", "qcow2", image)


def corruptions(image: Path) -> int:
    """As qemu-img counts them; leaks are none."""
    done = subprocess.run(
        ["qemu-img", "check", "-f", "qcow2", "--output", "json", image], capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 2, 3}, done.stderr
    found = json.loads(done.stdout)
    return int(found.get("corruptions", 0)) + int(found.get("check-errors", 0))
