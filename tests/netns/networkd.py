"""systemd-networkd in the lab's host, with a bus so that networkctl reaches it, and a DHCP server at the gateway."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netns.lab import Lab

FOLDER = "etc/systemd/network"
LEASES = ("10.9.0.50", "10.9.0.99")


@contextmanager
def running(lab: Lab, files: dict[str, str], *links: str) -> Iterator[None]:
    """With these files, until ``links`` are configured; what the lab set up by hand is taken away first."""
    for name, text in files.items():
        write(lab, name, text)
    lab.ip("addr flush dev eth0\nlink set eth0 down")
    with bus(lab), daemon(lab):
        configured(lab, *(links or ("eth0",)))
        yield


@contextmanager
def bus(lab: Lab) -> Iterator[None]:
    with _process(lab.command("dbus-daemon", "--system", "--nofork", "--nopidfile")):
        until((lab.root / "run/dbus/system_bus_socket").exists, "a bus")
        yield


@contextmanager
def daemon(lab: Lab, program: str = "/lib/systemd/systemd-networkd", log: Path | None = None) -> Iterator[None]:
    with (log or lab.state.with_name("networkd.log")).open("a") as file:
        command = lab.command("env", "SYSTEMD_LOG_LEVEL=debug", program)
        with _process(command, stderr=file, end=signal.SIGUSR2):  # as systemd stops it to start it again
            yield


@contextmanager
def dhcp(lab: Lab, seconds: int = 120, *options: str) -> Iterator[Path]:
    """-> the leases that it gave, as its own file."""
    leases = lab.state.with_name("leases")
    arguments = ("-d", "-i", "lan0", "-p", "0", f"--dhcp-range={','.join(LEASES)},{seconds}", *options)
    command = lab.command("dnsmasq", *arguments, f"--dhcp-leasefile={leases}", "--pid-file=", inside=lab.gateway)
    with lab.state.with_name("dnsmasq.log").open("a") as log, _process(command, stderr=log):
        yield leases


def write(lab: Lab, name: str, text: str) -> None:
    path = lab.root / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def texts(lab: Lab, place: str = FOLDER) -> dict[str, str]:
    folder = lab.root / place
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def configured(lab: Lab, *links: str, seconds: float = 20) -> None:
    until(lambda: all(states(lab).get(name) == "configured" for name in links), f"{links} configured", seconds)


def states(lab: Lab) -> dict[str, str]:
    """link -> what networkd says of it."""
    listed = lab.run("networkctl", "list", "--no-legend", "--no-pager", check=False).stdout
    return {words[1]: words[4] for line in listed.splitlines() if len(words := line.split()) >= 5}


def lease(lab: Lab, link: str) -> dict[str, str]:
    """What networkd's DHCP client has."""
    path = lab.root / f"run/systemd/netif/leases/{lab.json('link', 'show', link)[0]['ifindex']}"
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def dns(lab: Lab, link: str) -> str:
    """What networkd tells the resolver."""
    path = lab.root / f"run/systemd/netif/links/{lab.json('link', 'show', link)[0]['ifindex']}"
    return next(line.partition("=")[2] for line in path.read_text().splitlines() if line.startswith("DNS="))


def acknowledged(lab: Lab) -> int:
    """How many leases the server has given or renewed."""
    return lab.state.with_name("dnsmasq.log").read_text().count("DHCPACK")


def until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what}")


@contextmanager
def _process(command: list[str], *, stderr: object = None, end: int = signal.SIGTERM) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr or subprocess.DEVNULL)  # type: ignore[call-overload]
    try:
        yield
    finally:
        process.send_signal(end)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
