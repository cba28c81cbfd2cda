"""Whether a guest can be fitted to its new devices; the fitting itself needs libguestfs, and minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support import appliances
from virtkit.core.errors import MachineError
from virtkit.core.progress import silent
from virtkit.core.system import System
from virtkit.recipes.appliance import fitting, ovf

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("said", "linux"),
    [
        ("Debian GNU/Linux 12 (64-bit)", True),
        ("centos7_64Guest", True),
        ("RedHat_64", True),
        ("Microsoft Windows Server 2022", False),
        ("FreeBSD 14", False),
        ("", False),
    ],
)
def test_linux_is_known_by_what_its_maker_calls_it(said: str, *, linux: bool) -> None:
    assert fitting.is_linux(ovf.read(appliances.ovf({}, system=said).encode(), "a.ovf")) is linux


def test_what_the_program_says_is_told_with_a_way_out(tmp_path: Path) -> None:
    """A program that fails as virt-v2v-in-place 2.2 does for a disk without a boot loader."""
    program = tmp_path / fitting.PROGRAM
    program.write_text(
        '#!/bin/sh\ngrep -q "<name>web1</name>" "$3" || exit 9\n'
        'echo "virt-v2v: error: no bootloader detected\n\nIf reporting bugs, run it with -v -x" >&2\nexit 1\n'
    )
    program.chmod(0o755)
    step = fitting.FitGuest(str(program), "web1", "<domain><name>web1</name></domain>", kvm=True)
    with pytest.raises(MachineError, match="web1: virt-v2v-in-place: no bootloader detected") as caught:
        step.apply(System(), silent)
    assert "--drivers none" in caught.value.hint


def test_it_is_found_where_distributions_put_it(tmp_path: Path) -> None:
    system = System(tmp_path)
    assert fitting.installed(system) == ""
    (tmp_path / "usr/libexec").mkdir(parents=True)
    (tmp_path / "usr/libexec/virt-v2v-in-place").touch()
    assert fitting.installed(system) == "/usr/libexec/virt-v2v-in-place"
