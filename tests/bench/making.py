"""How long a machine takes to be there: created, cloned, imported; beside virt-install, virt-clone and virt-v2v.

    sudo PYTHONPATH=src:tests .venv/bin/python -m bench.making CORPUS [ROUNDS]

CORPUS is the folder of the disk bench (its guest: a real Debian, 1.3 GiB of 10 GiB used; virt-v2v wants one with a
bootloader, which virt-customize puts in once). The machines are defined in a
libvirtd of the bench's own and not started. The sides take turns; each row is the median of its rounds (least to most).
virt-install makes no disk from an image: qemu-img or cp does it before.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.mounts import mounted
from support import appliances
from virtkit.vm.blueprint import Disk, machine_xml
from vmhost import hosts
from vmhost.hosts import Lan

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmhost.hosts import Host

ORIGINAL, NEW, GOLDEN = "original", "new", "golden.qcow2"  # nobody's disk: overlays may stand on it
INSTALL = (
    "virt-install -q -n {n} --memory 512 --vcpus 2 --import --os-variant detect=off --virt-type qemu --network none"
)
INSTALL += " --graphics none --noautoconsole --disk path={d}/{n}.qcow2,format=qcow2,bus=virtio --print-xml"
BY_HAND = "LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg "  # as here without KVM
DEFINE = "virsh -q -c qemu:///system define /dev/stdin"
CREATE = "vm create {n} --cpus 2 --memory 512M --no-network --accelerator tcg -y --image {image} --disk {d}/{n}.qcow2"


class Way(NamedTuple):
    """``ours`` are the words after ``virtkit``; ``theirs`` a line for the shell, empty where nobody does it."""

    title: str
    ours: str
    theirs: str


def ways(place: Path, corpus: Path, *, shares: bool) -> list[Way]:
    """On one file system: what shares blocks only where it can."""
    image = f"{place}/{GOLDEN}"

    def created(how: str, made: str, source: str = image) -> Way:
        words = CREATE.format(n=NEW, image=source, d=place)
        then = INSTALL.format(n=NEW, d=place)
        return Way(
            f"create, {how}", f"{words} --by {how} -f {source.rpartition('.')[2]}", f"{made} && {then} | {DEFINE}"
        )

    target = f"{place}/{NEW}.qcow2"
    clone = f"vm clone {ORIGINAL} {NEW} --directory {place} -y --by"
    theirs = f"virt-clone -q --connect qemu:///system -o {ORIGINAL} -n {NEW} -f {target}"
    if shares:
        return [
            created("reflink", f"cp --reflink=always {image} {target}"),
            Way(
                "clone, reflink", f"{clone} reflink", ""
            ),  # virt-clone 4.1 hands libvirt 9 a flag that it refuses for qcow2
        ]
    raw = f"{corpus}/guest.raw"
    return [
        created("copy", f"qemu-img convert -q -f raw -O qcow2 {raw} {target}", raw),
        created("overlay", f"qemu-img create -q -f qcow2 -b {image} -F qcow2 {target}"),
        Way("clone, copy", f"{clone} copy", theirs),
        Way("clone, overlay", f"vm clone template {NEW} --directory {place} -y --by overlay", ""),
    ]


def main(corpus: Path, rounds: int) -> None:
    shared = mounted(corpus, "xfs") / "machines"
    plain = corpus / "machines"
    lan = Lan()
    try:
        host = lan.host(1)
        for place in (plain, shared):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            for file in (GOLDEN, f"{ORIGINAL}.qcow2"):
                shutil.copyfile(bootable(corpus), place / file)
            original(host, place)
            for way in ways(place, corpus, shares=place == shared):
                race(host, place, way, rounds)
            host.remove(ORIGINAL)
            host.remove("template")
        imported(host, plain, rounds)
    finally:
        lan.close()
        for place in (plain, shared):
            shutil.rmtree(place, ignore_errors=True)


def bootable(corpus: Path) -> Path:
    image = corpus / "bootable.qcow2"
    if not image.exists():
        unfinished = shutil.copyfile(corpus / "guest.qcow2", image.with_suffix(".new"))
        install = "export DEBIAN_FRONTEND=noninteractive; apt-get update && apt-get install -y grub-pc && update-grub"
        environment = {**os.environ, **dict(word.split("=") for word in BY_HAND.split())}
        command = (
            "virt-customize",
            "-a",
            unfinished,
            "--run-command",
            f"export DEBIAN_FRONTEND=noninteractive; {install}",
        )
        subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
        unfinished.rename(image)
    return image


def original(host: Host, place: Path) -> None:
    host.define(machine_xml(hosts.idle(ORIGINAL, Disk(f"{place}/{ORIGINAL}.qcow2", "qcow2", "none", "native"))))
    host.run("qemu-img", "create", "-q", "-f", "qcow2", "-b", f"{GOLDEN}", "-F", "qcow2", f"{place}/template.qcow2")
    host.define(machine_xml(hosts.idle("template", Disk(f"{place}/template.qcow2", "qcow2", "none", "native"))))
    host.virtkit("vm", "template", "template", "-y")


def imported(host: Host, place: Path, rounds: int) -> None:
    host.virtkit(
        "disk", "convert", f"{place}/{ORIGINAL}.qcow2", f"{place}/disk.vmdk", "-o", "subformat=streamOptimized"
    )
    (place / "vm.ovf").write_text(appliances.ovf({"disk.vmdk": 10240}, name=NEW))
    (place / "vm.mf").write_text(appliances.manifest(place, "vm.ovf", "disk.vmdk"))
    package = appliances.ova(place / "vm.ova", place, "vm.ovf", "vm.mf", "disk.vmdk")
    ours = f"vm import {package} --name {NEW} --no-network --accelerator tcg --directory {place} --drivers none -y"
    theirs = f"{BY_HAND}virt-v2v -q -i ova {package} -o local -os {place} -of qcow2 -on {NEW}"
    race(
        host,
        place,
        Way("import, OVA with a manifest", ours, f"{theirs} && {DEFINE} < {place}/{NEW}.xml"),
        min(rounds, 3),
    )


def race(host: Host, place: Path, way: Way, rounds: int) -> None:
    sides: dict[str, Callable[[], object]] = {"virtkit": lambda: host.virtkit(*way.ours.split())}
    if way.theirs:
        peer = way.theirs.removeprefix(BY_HAND).partition(" -")[0]
        sides[peer] = lambda: host.run("bash", "-eo", "pipefail", "-c", way.theirs)
        if "copy" in way.title:
            sides[f"{peer}, then sync"] = lambda: host.run(
                "bash", "-eo", "pipefail", "-c", f"{way.theirs}; sync {place}/{NEW}*"
            )
    took: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            host.run("sync")
            began = time.monotonic()
            run()
            took[side].append(time.monotonic() - began)
            host.remove(NEW)
            for file in place.glob(f"{NEW}*"):
                file.unlink()
    row = "   ".join(f"{side} {told(seconds)}" for side, seconds in took.items())
    kind = host.run("stat", "-f", "-c", "%T", str(place)).stdout.strip()
    sys.stdout.write(f"{way.title:28} {kind:10} {row}\n")
    sys.stdout.flush()


def told(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)
