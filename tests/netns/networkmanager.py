"""NetworkManager in the lab's host."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from netns import networkd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab

PROFILES = "etc/NetworkManager/system-connections"
CONF = "[main]\nplugins=keyfile\ndns=none\nrc-manager=unmanaged\n"


@contextmanager
def running(lab: Lab, **profiles: str) -> Iterator[None]:
    """With these profiles beside those that are there; what the lab set up by hand is taken away first."""
    (lab.root / "etc/NetworkManager/NetworkManager.conf").write_text(CONF)
    for name, text in profiles.items():
        path = lab.root / PROFILES / f"{name}.nmconnection"
        path.write_text(text)
        path.chmod(0o600)
    lab.ip("addr flush dev eth0\nlink set eth0 down")
    with networkd.bus(lab):
        daemon = lab.start("NetworkManager", "--debug", "--log-level=ERR")
        try:
            yield
        finally:
            daemon.kill()
            daemon.communicate()


def states(lab: Lab) -> dict[str, tuple[str, str]]:
    """link -> its state and its profile."""
    fields = ("-t", "-e", "no", "-f", "DEVICE,STATE,CONNECTION", "device")
    rows = [line.split(":") for line in lab.run("nmcli", *fields, check=False).stdout.splitlines()]
    return {link: (state, profile) for link, state, profile in rows}
