"""A machine's screen: VNC on a socket file, seen by RFB's own words, and pictures of it."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

import pytest

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


def test_a_screen_is_added_reached_on_its_socket_and_drawn(kvm: Host, idle: str, tmp_path: Path) -> None:
    kvm.virsh("start", idle)
    for verb in ("view", "screenshot"):
        refused = kvm.virtkit("vm", verb, idle, check=False)
        assert f"{idle}: has no screen" in refused.stderr
        assert f"virtkit vm set {idle} screen" in refused.stderr
    done = kvm.json("vm", "set", idle, "screen", "-y")
    kvm.virsh("destroy", idle)
    assert "shut off, expected running" in kvm.virtkit("vm", "view", idle, check=False).stderr
    kvm.virsh("start", idle)
    (address,) = kvm.json("vm", "view", idle)
    assert (address["uri"], address["port"]) == (f"vnc+unix://{address['socket']}", 0)
    assert kvm.virtkit("vm", "view", idle, "--print").stdout == f"vnc+unix://{address['socket']}\n"
    assert not kvm.run("ss", "-Hltn", "sport >= 5900 and sport <= 5999").stdout
    size = screen_size(f"{kvm.folder}{address['socket']}")
    kvm.virtkit("vm", "screenshot", idle, str(tmp_path / "a.png"))
    assert unpacked((tmp_path / "a.png").read_bytes())[:2] == size
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o600
    assert "already" in kvm.virtkit("vm", "set", idle, "screen", "--plan", check=False).stderr
    told = kvm.run("env", "-u", "DISPLAY", "-u", "WAYLAND_DISPLAY", *PYTHON, "vm", "view", idle, check=False)
    assert told.returncode == 1
    assert f"ssh -NL 5999:{address['socket']} root@" in told.stdout
    kvm.virsh("destroy", idle)
    kvm.virtkit("undo", str(done["change"]), "-y")
    assert "<video>" not in kvm.virsh("dumpxml", idle)


def test_a_desktop_gets_its_viewer_and_an_old_qemus_picture_is_converted(kvm: Host, idle: str, tmp_path: Path) -> None:
    kvm.virtkit("vm", "set", idle, "screen", "-y")
    kvm.virsh("start", idle)
    viewer = tmp_path / "virt-viewer"
    viewer.write_text('#!/bin/sh\necho "$@" >"$0.called"\n')
    viewer.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    kvm.run("env", "DISPLAY=:7", f"PATH={path}", *PYTHON, "vm", "view", idle)
    assert (tmp_path / "virt-viewer.called").read_text() == f"--connect qemu:///system --attach {idle}\n"
    drawn = {}
    kvm.virsh("suspend", idle)
    for kind in ("ppm", "png"):
        file = f"/var/lib/libvirt/qemu/{idle}.{kind}"
        dump = {"execute": "screendump", "arguments": {"filename": file, "format": kind}}
        kvm.virsh("qemu-monitor-command", idle, json.dumps(dump))
        drawn[kind] = (kvm.folder / file.lstrip("/")).read_bytes()
    assert unpacked(png.of_ppm(drawn["ppm"]))[:2] == unpacked(drawn["png"])[:2]
