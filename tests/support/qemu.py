"""A guest under plain QEMU without KVM, and its agent."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

Answer: TypeAlias = "dict[str, Answer] | list[Answer] | str | int | bool | None"

SECONDS = 90.0  # to the agent's first answer, on a busy machine


class Machine:
    """Runs as long as the block; ``inside`` is a network namespace, ``place`` a directory for sockets and the log."""

    def __init__(self, place: Path, arguments: Sequence[str], inside: str = "") -> None:
        self.place = place
        around = ["ip", "netns", "exec", inside] if inside else []
        command = [
            *(*around, "qemu-system-x86_64", "-accel", "tcg", "-cpu", "qemu64", "-m", "256"),
            *("-display", "none", "-nodefaults", "-serial", f"file:{place}/serial"),
            *("-monitor", f"unix:{place}/monitor,server=on,wait=off"),
            *("-chardev", f"socket,id=agent,path={place}/agent,server=on,wait=off", "-device", "virtio-serial"),
            *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
            *arguments,
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        self._open: list[socket.socket] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for connection in self._open:
            connection.close()

    def agent(self, seconds: float = SECONDS) -> Agent:
        """Once it answers; fails with what the guest printed."""
        until = time.monotonic() + seconds
        self._open.append(_connected(self.place / "agent", until))
        agent = Agent(self._open[-1])
        while not agent.answers():
            printed = (self.place / "serial").read_text(errors="replace")
            assert time.monotonic() < until, f"no agent after {seconds:g} s; the guest printed:\n{printed}"
            assert self._process.poll() is None, f"QEMU has ended; the guest printed:\n{printed}"
        return agent

    def monitor(self, command: str) -> None:
        """One human monitor command, carried out when this returns."""
        with _connected(self.place / "monitor", time.monotonic() + 10) as connection:
            connection.settimeout(10)
            _read_until(connection, b"(qemu) ")
            connection.sendall(command.encode() + b"\n")
            _read_until(connection, b"(qemu) ")

    def wait_for_end(self, seconds: float) -> int:
        return self._process.wait(seconds)


class Agent:
    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = b""
        self._asked = 0

    def answers(self) -> bool:
        """Within a second. Answers to what was asked before are thrown away: the agent may have been late."""
        self._asked += 1
        self._send("guest-sync", {"id": self._asked})
        try:
            while self._line(1.0) != {"return": self._asked}:
                pass
        except TimeoutError:
            return False
        return True

    def ask(self, command: str, **arguments: Answer) -> Answer:
        self._send(command, arguments)
        answer = self._line(20.0)
        assert isinstance(answer, dict)
        assert "return" in answer, answer
        return answer["return"]

    def order(self, command: str) -> None:
        """What is never answered when it works."""
        self._send(command, {})

    def shell(self, script: str) -> str:
        """Its output; an exit status other than 0 fails."""
        started = self.ask("guest-exec", path="/bin/sh", arg=["-c", script], **{"capture-output": True})
        assert isinstance(started, dict)
        while True:
            status = self.ask("guest-exec-status", pid=started["pid"])
            assert isinstance(status, dict)
            if status["exited"]:
                break
            time.sleep(0.1)
        assert status.get("exitcode") == 0, status
        return base64.b64decode(str(status.get("out-data", ""))).decode()

    def _send(self, command: str, arguments: dict[str, Answer]) -> None:
        self._connection.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")

    def _line(self, seconds: float) -> Answer:
        self._connection.settimeout(seconds)
        while b"\n" not in self._lines:
            self._lines += self._connection.recv(65536)
        line, _, self._lines = self._lines.partition(b"\n")
        answer: Answer = json.loads(line)
        return answer


def _read_until(connection: socket.socket, end: bytes) -> None:
    seen = b""
    while not seen.endswith(end):
        seen += connection.recv(4096)


def _connected(path: Path, until: float) -> socket.socket:
    while True:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            assert time.monotonic() < until, f"{path}: nobody listens"
            time.sleep(0.05)
        else:
            return connection
