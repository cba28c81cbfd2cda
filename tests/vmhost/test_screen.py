"""A machine's screen: VNC on a socket file, seen by RFB's own words, and pictures of it."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from virtkit import vm
from virtkit.core.errors import MachineError, NotSupportedError, UsageError
from virtkit.vm import png
from vm.test_png import unpacked

if TYPE_CHECKING:
    from pathlib import Path

    from vmhost.hosts import Host

pytestmark = pytest.mark.netns

PYTHON = (sys.executable, "-m", "virtkit")


def screen_size(path: str) -> tuple[int, int]:
    """What VNC says: RFC 6143, the handshake without a password."""
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(10)
        server.connect(path)
        assert server.recv(12) == b"RFB 003.008\n"
        server.sendall(b"RFB 003.008\n")
        (count,) = server.recv(1)
        assert 1 in server.recv(count)
        server.sendall(b"\1")
        assert server.recv(4) == bytes(4)
        server.sendall(b"\1")
        width, height = struct.unpack(">HH", server.recv(4))
        return width, height


def test_a_screen_is_added_reached_on_its_socket_and_drawn(speaking: Host, idle: str, tmp_path: Path) -> None:
    kvm = speaking
    kvm.virsh("start", idle)
    for ask in (vm.view, vm.screenshot):
        with pytest.raises(NotSupportedError, match=f"{idle}: has no screen") as refused:
            ask(idle)
        assert refused.value.hint.startswith(f"virtkit vm set {idle} screen")
    done = kvm.json("vm", "set", idle, "screen", "-y")
    kvm.virsh("destroy", idle)
    with pytest.raises(MachineError, match="is shut off, expected running"):
        vm.view(idle)
    kvm.virsh("start", idle)
    (address,) = vm.view(idle)
    assert (address.uri, address.port) == (f"vnc+unix://{address.socket}", 0)
    assert kvm.virtkit("vm", "view", idle, "--print").stdout == f"vnc+unix://{address.socket}\n"
    assert not kvm.run("ss", "-Hltn", "sport >= 5900 and sport <= 5999").stdout
    size = screen_size(f"{kvm.folder}{address.socket}")
    kvm.virtkit("vm", "screenshot", idle, str(tmp_path / "a.png"))
    assert unpacked((tmp_path / "a.png").read_bytes())[:2] == size
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o600
    assert unpacked(png.of_ppm(dump(kvm, idle, "ppm")))[:2] == unpacked(dump(kvm, idle, "png"))[:2]
    with pytest.raises(UsageError, match="has a screen already"):
        vm.add_screen(idle)
    seen_from_a_desk(kvm, idle, address.socket, tmp_path)
    kvm.virsh("destroy", idle)
    kvm.virtkit("undo", str(done["change"]), "-y")
    assert "<video>" not in kvm.virsh("dumpxml", idle)


def dump(kvm: Host, name: str, kind: str) -> bytes:
    """What QEMU itself draws: PPM is all that it could before 7.1."""
    file = f"/var/lib/libvirt/qemu/{name}.{kind}"
    command = {"execute": "screendump", "arguments": {"filename": file, "format": kind}}
    kvm.virsh("qemu-monitor-command", name, json.dumps(command))
    return (kvm.folder / file.lstrip("/")).read_bytes()


def seen_from_a_desk(kvm: Host, name: str, socket_file: str, folder: Path) -> None:
    """Its viewer is started; without a desk it is said how to get there from one."""
    told = kvm.run("env", "-u", "DISPLAY", "-u", "WAYLAND_DISPLAY", *PYTHON, "vm", "view", name, check=False)
    assert told.returncode == 1
    assert f"ssh -NL 5999:{socket_file} root@" in told.stdout
    viewer = folder / "virt-viewer"
    viewer.write_text('#!/bin/sh\necho "$@" >"$0.called"\n')
    viewer.chmod(0o755)
    kvm.run("env", "DISPLAY=:7", f"PATH={folder}:{os.environ['PATH']}", *PYTHON, "vm", "view", name)
    assert (folder / "virt-viewer.called").read_text() == f"--connect qemu:///system --attach {name}\n"
