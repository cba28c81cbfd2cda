"""Machines and LANs of the tests' own; everything that they make is named vkt... and goes again."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core import engine
from virtkit.core.system import System
from virtkit.core.units import MIB
from virtkit.recipes import guest
from virtkit.vm.blueprint import Blueprint, Disk, Nic, machine_xml

if TYPE_CHECKING:
    from virtkit.core.journal import Journal
    from virtkit.core.plan import Plan

BOOT_SECONDS = 60  # of a busy machine, under TCG


class Lan(NamedTuple):
    """A bridge of the host with an address and a DHCP server."""

    bridge: str
    network: str  # the first three bytes of its /24


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def quietly(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=False)


def make_lan(lan: Lan, folder: Path) -> subprocess.Popen[bytes]:
    run("ip", "link", "add", lan.bridge, "type", "bridge")
    run("ip", "address", "add", f"{lan.network}.1/24", "dev", lan.bridge)
    run("ip", "link", "set", lan.bridge, "up")
    return _dhcp_server(lan, lan.bridge, folder)


def make_far_lan(lan: Lan, router: str, folder: Path) -> subprocess.Popen[bytes]:
    """The bridge without an address; its router is the network namespace ``router``."""
    run("ip", "link", "add", lan.bridge, "type", "bridge")
    run("ip", "link", "add", f"{lan.bridge}w", "type", "veth", "peer", "name", "lan0", "netns", router)
    run("ip", "link", "set", f"{lan.bridge}w", "master", lan.bridge, "up")
    run("ip", "link", "set", lan.bridge, "up")
    run("ip", "-n", router, "address", "add", f"{lan.network}.1/24", "dev", "lan0")
    run("ip", "-n", router, "link", "set", "lan0", "up")
    return _dhcp_server(lan, "lan0", folder, "ip", "netns", "exec", router)


def _dhcp_server(lan: Lan, link: str, folder: Path, *inside: str) -> subprocess.Popen[bytes]:
    options = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--port=0",
        "--bind-interfaces",
        "--except-interface=lo",
        "--no-ping",
        f"--interface={link}",
        f"--dhcp-range={lan.network}.50,{lan.network}.99,1h",
        f"--dhcp-leasefile={folder}/{lan.bridge}.leases",
        "--pid-file=",
    ]
    return subprocess.Popen([*inside, "dnsmasq", *options], stderr=subprocess.DEVNULL)


def blueprint(name: str, lan: Lan, disk: Path) -> Blueprint:
    """The demo's guest, booted without its disk."""
    kernel, initramfs = guest.kernel_and_initramfs(System())
    return Blueprint(
        name,
        memory=192 * MIB,
        cpus=2,
        disks=(Disk(str(disk), "qcow2", "none", "native"),),
        nics=(Nic(bridge=lan.bridge),),
        kvm=False,
        kernel=str(kernel),
        initramfs=str(initramfs),
        kernel_arguments="console=ttyS0 net.ifnames=0",
    )


def idle_xml(name: str, *, memory: int = 64 * MIB) -> str:
    """A machine without anything to boot: its firmware waits, and no guest listens to anybody."""
    return machine_xml(Blueprint(name, memory, 2, kvm=False))


def carry_out(plan: Plan, journal: Journal) -> int:
    return engine.run(plan, System(), journal)


def remove(name: str) -> None:
    """By libvirt's own program, not by what is tested."""
    quietly("virsh", "-c", "qemu:///system", "destroy", name)
    quietly("virsh", "-c", "qemu:///system", "undefine", name, "--nvram", "--managed-save")
    Path(f"/var/log/libvirt/qemu/{name}.log").unlink(missing_ok=True)


def virsh(*arguments: str) -> str:
    return run("virsh", "-c", "qemu:///system", *arguments).strip()


def unique(word: str) -> str:
    return f"vkt-{os.getpid()}-{word}"


def eventually(look: object, seconds: float = 20) -> bool:
    """Whether ``look()`` came true in time."""
    assert callable(look)
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def define(xml: str) -> None:
    """By libvirt's own program."""
    with NamedTemporaryFile("w", suffix=".xml") as document:
        document.write(xml)
        document.flush()
        virsh("define", document.name)
