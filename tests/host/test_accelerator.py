from __future__ import annotations

import os
from pathlib import Path

import pytest

from host.trees import machine, plant
from virtkit.core.errors import UsageError
from virtkit.core.system import System
from virtkit.host.accelerator import Kvm, read_kvm
from virtkit.host.cpu import read_cpu, read_guest
from virtkit.host.kernel import Kernel

DEVICE = {"/dev/kvm": ""}


def _cpu(flags: str, more: str = "") -> dict[str, str]:
    return {
        "/proc/cpuinfo": f"processor\t: 0\nvendor_id\t: Some\nmodel name\t: A CPU\nflags\t\t: fpu {flags}\n{more}\n"
    }


INTEL, AMD = _cpu("vmx"), _cpu("svm npt")
ARM = {"/proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n"}


def _kvm(system: System, override: str = "") -> Kvm:
    kernel = Kernel(system)
    cpu = read_cpu(kernel)
    return read_kvm(kernel, cpu, read_guest(kernel, cpu), override)


@pytest.mark.parametrize("cpu", [INTEL, AMD, ARM])
def test_a_flag_and_a_device_make_kvm(tmp_path: Path, cpu: dict[str, str]) -> None:
    kvm = _kvm(plant(tmp_path, cpu | DEVICE))
    assert (kvm.accelerator, kvm.usable, kvm.advice, kvm.forced) == ("kvm", True, "", "")


def test_a_device_without_the_flag_is_not_trusted(tmp_path: Path) -> None:
    kvm = _kvm(plant(tmp_path, _cpu("") | DEVICE))
    assert (kvm.accelerator, kvm.usable) == ("tcg", False)
    assert "neither vmx nor svm" in kvm.why
    assert "hang" in kvm.why
    assert "firmware" in kvm.advice


def test_inside_a_virtual_machine_the_advice_is_for_the_host_below(tmp_path: Path) -> None:
    kvm = _kvm(plant(tmp_path, _cpu("hypervisor")))
    assert "nested" in kvm.advice
    assert "hang" not in kvm.why


@pytest.mark.parametrize(
    ("cpu", "advice"), [(INTEL, "modprobe kvm_intel"), (AMD, "modprobe kvm_amd"), (ARM, "modprobe kvm")]
)
def test_without_the_device_the_module_is_named(tmp_path: Path, cpu: dict[str, str], advice: str) -> None:
    kvm = _kvm(plant(tmp_path, cpu))
    assert (kvm.accelerator, kvm.advice) == ("tcg", advice)
    assert "/dev/kvm is not there" in kvm.why


def test_a_device_that_does_not_open_says_why(tmp_path: Path) -> None:
    system = plant(tmp_path, INTEL)
    (tmp_path / "dev/kvm").mkdir(parents=True)
    kvm = _kvm(system)
    assert kvm.accelerator == "tcg"
    assert "does not open: is a directory" in kvm.why


@pytest.mark.skipif(not os.path.lexists("/dev/kvm"), reason="this host has no /dev/kvm to ask")
def test_only_the_real_host_is_asked_for_its_api(tmp_path: Path) -> None:
    asked = {check.name: check.passed for check in _kvm(plant(tmp_path, INTEL | DEVICE)).checks}
    assert asked["API"] is None
    real = {check.name: check.passed for check in _kvm(System()).checks}
    assert real.get("API", False) is os.access("/dev/kvm", os.R_OK | os.W_OK)


def test_another_device_in_its_place_is_found_out() -> None:
    """/dev/null opens, and then knows no ioctl."""
    from virtkit.host.accelerator import _api

    null = Path("/dev/null")
    assert null.is_char_device()
    assert _api(Kernel(System()), null).passed is False


@pytest.mark.parametrize(
    ("files", "override", "accelerator", "forced"),
    [
        (INTEL | DEVICE, "tcg", "tcg", "VIRTKIT_ACCEL=tcg"),
        (INTEL | DEVICE, "kvm", "kvm", ""),
        (_cpu("") | DEVICE, "kvm", "kvm", "VIRTKIT_ACCEL=kvm"),
        (_cpu("") | DEVICE, "tcg", "tcg", ""),
    ],
)
def test_the_override_decides_and_is_told_where_it_matters(
    tmp_path: Path, files: dict[str, str], override: str, accelerator: str, forced: str
) -> None:
    kvm = _kvm(plant(tmp_path, files), override)
    assert (kvm.accelerator, kvm.forced) == (accelerator, forced)


def test_the_override_does_not_change_what_was_found(tmp_path: Path) -> None:
    system = plant(tmp_path, _cpu("") | DEVICE)
    assert (_kvm(system, "kvm").usable, _kvm(system, "kvm").why) == (False, _kvm(system).why)


@pytest.mark.parametrize("override", ["KVM", "xen", " "])
def test_another_override_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(UsageError, match="VIRTKIT_ACCEL is"):
        _kvm(plant(tmp_path, INTEL), override)


@pytest.mark.parametrize(
    ("cpu", "module", "text", "expected"),
    [
        (_cpu("vmx ept"), "kvm_intel/parameters/ept", "Y", ("EPT", True, True)),
        (_cpu("vmx", "vmx flags\t: vnmi ept vpid"), "kvm_intel/parameters/ept", "N", ("EPT", True, False)),
        (_cpu("vmx"), "kvm_intel/parameters/other", "Y", ("EPT", False, None)),
        (AMD, "kvm_amd/parameters/npt", "1", ("NPT", True, True)),
        (AMD, "kvm_amd/parameters/npt", "2", ("NPT", True, None)),
        (ARM, "kvm_intel/parameters/ept", "Y", None),
    ],
)
def test_second_level_translation_is_the_cpus_and_the_modules(
    tmp_path: Path, cpu: dict[str, str], module: str, text: str, expected: tuple[str, bool, bool | None] | None
) -> None:
    assert _kvm(plant(tmp_path, cpu | {f"/sys/module/{module}": text})).second_level == expected


def test_nested_is_the_parameter_of_this_cpus_module(tmp_path: Path) -> None:
    parameters = {"/sys/module/kvm_intel/parameters/nested": "N", "/sys/module/kvm_amd/parameters/nested": "1"}
    kvm = _kvm(plant(tmp_path, AMD | parameters | {"/sys/module/kvm/parameters/halt_poll_ns": "200000\n"}))
    assert (kvm.nested, kvm.halt_poll_ns, kvm.modules) == (True, 200000, ("kvm", "kvm_amd", "kvm_intel"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("40intel64-4n10c+pci-conflicts", ("EPT", True, None)),
        ("offline-cpu0-node0", ("EPT", True, None)),
        ("16amd64-4n4c-cgroup-distance-merge", ("NPT", True, None)),
        ("16amd64-8n2c", None),  # Opterons of 2005: before AMD-V
        ("nvidia-dgx-gb10", None),
    ],
)
def test_real_cpus_show_what_they_can(name: str, expected: tuple[str, bool, None] | None) -> None:
    with machine(name) as system:
        assert _kvm(system).second_level == expected
