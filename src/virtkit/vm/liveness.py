"""Which part of a definition can change while the machine runs, how, and why the rest cannot.

What is said here of libvirt was seen on 9.0 with QEMU 7.2; tests/vmhost/test_liveness.py asks a running libvirt again.
The table in docs/*/machines.md is held against ``RULES``.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import NamedTuple

from virtkit.vm.difference import split

AT_START = "QEMU takes it from its command line"
OPENED = "QEMU opens the image with it; libvirt: cannot modify field"
SLOT = "it is the device itself: another one has to be plugged in"
FIRMWARE = "the firmware reads it when the machine starts"
UNKNOWN = "libvirt has no call that changes it while the machine runs"


class Rule(NamedTuple):
    path: str  # a shell pattern over paths without what devices are known by: disk/driver@cache
    knob: str  # of ``virtkit.vm.knobs``, which changes it in the running machine; empty: nothing does
    why: str = ""  # it does not


RULES = (
    Rule("vcpu@current", "vcpus"),
    Rule("vcpu", "", "QEMU makes room for vCPUs when it starts"),
    Rule("currentMemory", "balloon"),
    Rule("memory", "", "QEMU maps the guest's memory when it starts"),
    Rule("maxMemory*", "", "QEMU makes room for memory modules when it starts"),
    Rule("cpu*", "", AT_START),
    Rule("iothreads", "", "virtkit adds none to a running machine"),
    Rule("os*", "", FIRMWARE),
    Rule("title", "texts"),
    Rule("description", "texts"),
    Rule("disk/iotune/*", "throttle"),
    Rule("disk/driver@cache", "", f"{OPENED} 'cache'"),
    Rule("disk/driver@io", "", f"{OPENED} 'io'"),
    Rule("disk/driver@discard", "", f"{OPENED} 'discard'"),
    Rule("disk/driver@detect_zeroes", "", "libvirt says yes and changes nothing"),
    Rule("disk/driver@iothread", "", "the device is bound to its thread when it is plugged in"),
    Rule("disk/driver@queues", "", SLOT),
    Rule("disk/source@file", "medium"),
    Rule("disk/source@startupPolicy", "", UNKNOWN),
    Rule("disk/boot@order", "", FIRMWARE),
    Rule("disk/target@bus", "", SLOT),
    Rule("interface/link@state", "device"),
    Rule("interface/source@*", "device"),
    Rule("interface@type", "device"),
    Rule("interface/model@type", "", SLOT),
    Rule("interface/driver@*", "", SLOT),
    Rule("interface/boot@order", "", FIRMWARE),
    Rule("interface/mtu@size", "", "the guest's driver reads it once"),
    Rule("virtio-mem/target/requested", "device"),
    Rule("memballoon/stats@period", "", UNKNOWN),
)
PLUGS = ("disk", "interface", "hostdev", "dimm", "virtio-mem")  # whole devices that come and go while it runs
_STILL = "only disks, network cards, PCI devices and memory are plugged while it runs"


def rule(path: str) -> Rule:
    """The first that fits; one that says that nothing is known otherwise."""
    tag, _, below = split(path)
    plain = tag + (below if below.startswith("@") else f"/{below}") if tag else path
    return next((found for found in RULES if fnmatchcase(plain, found.path)), Rule(path, "", UNKNOWN))


def unpluggable(path: str) -> str:
    """Why a whole device cannot come or go while the machine runs; empty if it can."""
    tag = split(path)[0]
    return "" if tag in PLUGS else _STILL
