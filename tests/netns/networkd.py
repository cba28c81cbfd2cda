"""systemd-networkd in the lab's host, with a bus so that networkctl reaches it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from netns import house
from netns.lab import undetected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from netns.lab import Lab

FOLDER = "etc/systemd/network"


@contextmanager
def running(lab: Lab, files: dict[str, str], *links: str) -> Iterator[None]:
    """With these files, until ``links`` are configured; what the lab set up by hand is taken away first."""
    for name, text in files.items():
        write(lab, name, text)
    lab.ip("addr flush dev eth0\nlink set eth0 down")
    with bus(lab), daemon(lab):
        with undetected(lab):
            configured(lab, *(links or ("eth0",)))
        yield


@contextmanager
def bus(lab: Lab) -> Iterator[None]:
    with process(lab.command("dbus-daemon", "--system", "--nofork", "--nopidfile")):
        until((lab.root / "run/dbus/system_bus_socket").exists, "a bus")
        yield


@contextmanager
def daemon(lab: Lab, program: str = "/lib/systemd/systemd-networkd", log: Path | None = None) -> Iterator[None]:
    with (log or lab.state.with_name("networkd.log")).open("a") as file:
        command = lab.command("env", "SYSTEMD_LOG_LEVEL=debug", program)
        with process(command, stderr=file, end=signal.SIGUSR2):  # as systemd stops it to start it again
            yield


@contextmanager
def resolver(lab: Lab) -> Iterator[None]:
    """systemd-resolved, which has each link's name servers from networkd; it waits for the bus."""
    for source, target in (("lib", "usr/lib"), ("usr", "usr")):
        place = house.package("systemd-resolved") / source
        shutil.copytree(place, lab.root / target, dirs_exist_ok=True, symlinks=True)
    for name, line in (("passwd", "systemd-resolve:x:994:994::/:/bin/false\n"), ("group", "systemd-resolve:x:994:\n")):
        with (lab.root / "etc" / name).open("a") as file:
            file.write(line)
    with process(lab.command("/lib/systemd/systemd-resolved")):
        yield


def name_servers(lab: Lab, link: str) -> str:
    """That systemd-resolved asks over the link."""
    return lab.run("resolvectl", "dns", link).stdout.partition(": ")[2].strip()


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


def until(condition: Callable[[], bool], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what}")


@contextmanager
def process(
    command: list[str], *, stderr: int | IO[str] = subprocess.DEVNULL, end: int = signal.SIGTERM
) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr) as started:
        try:
            yield
        finally:
            started.send_signal(end)
            try:
                started.wait(5)
            except subprocess.TimeoutExpired:
                started.kill()
