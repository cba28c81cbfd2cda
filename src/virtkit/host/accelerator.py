"""Can machines run under KVM here, and if not, what to do about it.

The rule of the house: without the CPU flag machines run under TCG, QEMU's emulation, even where /dev/kvm exists.
Such a KVM comes from kernels with software virtualization (PVM): it answers every question of its API, and then
guests with a stock kernel hang in it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from virtkit.host.cpu import Cpu, Guest
    from virtkit.host.kernel import Kernel

Accelerator: TypeAlias = Literal["kvm", "tcg"]

DEVICE = "/dev/kvm"
OVERRIDE = "VIRTKIT_ACCEL"  # environment variable: kvm or tcg

_GET_API_VERSION = 0xAE00  # Documentation/virt/kvm/api.rst, 4.1
_API_VERSION = 12


class Check(NamedTuple):
    name: str
    passed: bool | None  # None: does not apply here, or could not be looked at
    found: str
    advice: str = ""  # what to do where it failed


class SecondLevel(NamedTuple):
    """Address translation of guests in hardware: EPT of Intel, NPT of AMD."""

    name: str
    in_cpu: bool
    enabled: bool | None  # the module's parameter; None: the module is not loaded


@dataclass(frozen=True)
class Kvm:
    accelerator: Accelerator  # what machines run under
    usable: bool  # no check failed
    why: str  # it is usable or not
    forced: str  # ``VIRTKIT_ACCEL=kvm``; empty where the accelerator follows from ``usable``
    advice: str  # empty where nothing needs to be done
    checks: tuple[Check, ...]  # in the order in which they matter
    second_level: SecondLevel | None
    nested: bool | None  # guests may run KVM themselves
    modules: tuple[str, ...]
    halt_poll_ns: int | None  # how long an idle vCPU is polled before its thread sleeps


def read_kvm(kernel: Kernel, cpu: Cpu, guest: Guest, override: str = "") -> Kvm:
    """``override`` is ``kvm``, ``tcg`` or empty; UsageError."""
    if override not in {"", "kvm", "tcg"}:
        raise UsageError(f"{OVERRIDE} is {override!r}, expected kvm or tcg", hint=f"unset {OVERRIDE}")
    checks = (_flag(kernel, cpu, guest), *_device(kernel, cpu))
    failed = next((check for check in checks if check.passed is False), None)
    by_rule: Accelerator = "tcg" if failed else "kvm"
    wanted: Accelerator = "kvm" if override == "kvm" else "tcg" if override else by_rule
    vendor = _module(cpu)
    return Kvm(
        accelerator=wanted,
        usable=failed is None,
        why=failed.found if failed else "the CPU, the kernel and /dev/kvm are ready",
        forced=f"{OVERRIDE}={override}" if wanted != by_rule else "",
        advice=failed.advice if failed else "",
        checks=checks,
        second_level=_second_level(kernel, cpu),
        nested=kernel.switch(f"/sys/module/{vendor}/parameters/nested") if vendor else None,
        modules=tuple(name for name in kernel.names("/sys/module") if name == "kvm" or name.startswith("kvm_")),
        halt_poll_ns=kernel.number("/sys/module/kvm/parameters/halt_poll_ns"),
    )


def _module(cpu: Cpu) -> str:
    return "kvm_intel" if "vmx" in cpu.flags else "kvm_amd" if "svm" in cpu.flags else ""


def _flag(kernel: Kernel, cpu: Cpu, guest: Guest) -> Check:
    name = "CPU flag"
    if not cpu.is_x86:
        return Check(name, None, "this architecture has no flag for it")
    flag = next((flag for flag in ("vmx", "svm") if flag in cpu.flags), "")
    if flag:
        return Check(name, passed=True, found=f"the CPU shows {flag}")
    found = "the CPU shows neither vmx nor svm"
    if kernel.system.exists(DEVICE):
        found += "; /dev/kvm is there all the same, but guests with stock kernels hang under such a KVM"
    return Check(name, passed=False, found=found, advice=_flag_advice(guest))


def _flag_advice(guest: Guest) -> str:
    if guest.inside:
        return (
            "this host is itself a virtual machine: on the host below it turn on nested virtualization "
            "(kvm_intel or kvm_amd with nested=1) and give this machine the CPU mode host-passthrough; "
            f"to try /dev/kvm all the same: {OVERRIDE}=kvm"
        )
    return "turn on Intel VT-x (VMX) or AMD-V (SVM) in the firmware's setup, then switch the host off and on"


def _device(kernel: Kernel, cpu: Cpu) -> tuple[Check, ...]:
    if not kernel.system.exists(DEVICE):
        advice = f"modprobe {_module(cpu) or 'kvm'}"
        return (Check(DEVICE, passed=False, found=f"{DEVICE} is not there", advice=advice),)
    present = Check(DEVICE, passed=True, found=f"{DEVICE} is there")
    path = kernel.system.path(DEVICE)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return present, _cannot_open(error)
    os.close(fd)
    return present, Check("open", passed=True, found=f"{DEVICE} opens"), _api(kernel, path)


def _cannot_open(error: OSError) -> Check:
    found = f"{DEVICE} does not open: {(error.strerror or str(error)).lower()}"
    advice = (
        "sudo usermod -aG kvm $USER, then log in again" if isinstance(error, PermissionError) else "dmesg | grep -i kvm"
    )
    return Check("open", passed=False, found=found, advice=advice)


def _api(kernel: Kernel, path: Path) -> Check:
    try:
        version = api_version(path) if kernel.system.root == Path("/") else kernel.number(DEVICE)
    except OSError as error:
        found = f"{DEVICE} does not answer: {(error.strerror or str(error)).lower()}"
        return Check("API", passed=False, found=found, advice="dmesg | grep -i kvm")
    if version is None:
        return Check("API", None, "not asked: this is a picture of a host, not the host")
    if version != _API_VERSION:
        found = f"{DEVICE} speaks API version {version}, expected {_API_VERSION}"
        return Check("API", passed=False, found=found, advice="upgrade the kernel")
    return Check("API", passed=True, found=f"API version {version}")


def api_version(device: Path) -> int:
    """As the device itself says; a record of a host keeps it as the text of the file. OSError."""
    import fcntl  # only here

    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return fcntl.ioctl(fd, _GET_API_VERSION)
    finally:
        os.close(fd)


def _second_level(kernel: Kernel, cpu: Cpu) -> SecondLevel | None:
    for name, flag, module in (("EPT", "vmx", "kvm_intel"), ("NPT", "svm", "kvm_amd")):
        if flag in cpu.flags:
            enabled = kernel.switch(f"/sys/module/{module}/parameters/{name.lower()}")
            return SecondLevel(name, name.lower() in cpu.flags, enabled)
    return None
