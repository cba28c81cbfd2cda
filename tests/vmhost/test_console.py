"""The serial console comes with what was said before, and is left in every state of the guest."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import NotSupportedError
from virtkit.vm.blueprint import machine_xml
from virtkit.vm.console import LEAVE
from vmhost import hosts

if TYPE_CHECKING:
    from vmhost.hosts import Host

pytestmark = pytest.mark.netns


def visit(kvm: Host, name: str, *more: str) -> tuple[int, int, subprocess.Popen[bytes]]:
    ours, theirs = pty.openpty()
    command = kvm.command("env", f"PYTHONPATH={os.pathsep.join(sys.path)}", sys.executable, "-m", "virtkit")
    program = subprocess.Popen([*command, "vm", "console", name, *more], stdin=theirs, stdout=theirs, stderr=theirs)
    return ours, theirs, program


def heard(ours: int, wanted: bytes, seconds: float = 20) -> bytes:
    said, end = b"", time.monotonic() + seconds
    while wanted not in said and time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            said += os.read(ours, 65536)
    assert wanted in said, said
    return said


def test_what_was_said_before_comes_first_and_a_paused_guest_is_left(kvm: Host, name: str) -> None:
    try:
        plain = hosts.blueprint(name)
    except NotSupportedError as error:
        pytest.skip(error.message)
    kvm.define(machine_xml(plain))
    kvm.virtkit("vm", "set", name, "serial", "--log", "/var/log/libvirt/qemu/serial.log", "-y")
    kvm.virsh("start", name)
    log, end = kvm.folder / "var/log/libvirt/qemu/serial.log", time.monotonic() + 30
    while b"Command line" not in log.read_bytes() and time.monotonic() < end:
        time.sleep(0.1)
    kvm.virsh("suspend", name)
    ours, theirs, program = visit(kvm, name, "--escape", "^A", "--lines", "10000")
    before = termios.tcgetattr(theirs)
    said = heard(ours, b"^A leaves")
    assert b"Linux version" in said
    assert said.index(b"Linux version") < said.index(b"---- now ----")
    typed = LEAVE + b"nobody listens\r" * 1000 + b"\x01"
    while typed:  # a terminal takes 4 KiB at a time
        typed = typed[os.write(ours, typed) :]
    heard(ours, b"left")
    assert program.wait(10) == 0
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
    kvm.virtkit("vm", "console", name, "--seconds", "0.1")  # nobody has it any more


def test_without_a_log_it_says_what_to_type(kvm: Host, idle: str) -> None:
    kvm.virsh("start", idle)
    ours, theirs, program = visit(kvm, idle)
    hint = f"virtkit vm set {idle} serial --log /var/log/libvirt/qemu/{idle}-serial.log"
    assert hint.encode() in heard(ours, b"^] leaves")
    os.write(ours, LEAVE)
    assert program.wait(10) == 0
    os.close(ours)
    os.close(theirs)
    wrong = kvm.virtkit("vm", "console", idle, "--escape", "x", check=False)
    assert (wrong.returncode, "expected ^ and a letter" in wrong.stderr) == (2, True)
