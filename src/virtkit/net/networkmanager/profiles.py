"""NetworkManager's profiles as files: where they are, and which one is meant."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, SystemCallError
from virtkit.net.networkmanager import keyfile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.networkmanager.keyfile import Keyfile

PERSISTENT = "/etc/NetworkManager/system-connections"
RUNTIME = "/run/NetworkManager/system-connections"  # gone at the next start; goes before the others (nms-keyfile)
VENDOR = "/usr/lib/NetworkManager/system-connections"  # the distribution's, never written
SUFFIX = ".nmconnection"
MOST = 1 << 20  # bytes of one profile
ETHERNET_TYPES = {"ethernet", "802-3-ethernet", "veth"}
STACKED_TYPES = {"vlan", "bond", "team"}  # the profile makes the link, too
ORIGIN = "org.freedesktop.NetworkManager.origin"  # in [user]: who wrote the profile
NAMESPACE = uuid.UUID("7f4dd9b5-6a2f-4b59-9c0e-3d1f6f6b8a51")  # of the profiles that we make


@dataclass(frozen=True)
class Profile:
    path: str
    file: Keyfile

    @property
    def uuid(self) -> str:
        return self.file.get("connection", "uuid")

    @property
    def id(self) -> str:
        return self.file.get("connection", "id") or self.path.rpartition("/")[2].removesuffix(SUFFIX)

    @property
    def type(self) -> str:
        return self.file.get("connection", "type")

    @property
    def link(self) -> str:
        """The name of the link that it is for; empty: it is for any that fits."""
        return self.file.get("connection", "interface-name")

    @property
    def controller(self) -> str:
        """Name or UUID of what it is a port of; NetworkManager said master before 1.46."""
        return self.file.get("connection", "controller") or self.file.get("connection", "master")

    @property
    def persistent(self) -> bool:
        return self.path.startswith(f"{PERSISTENT}/")

    @property
    def external(self) -> bool:
        """NetworkManager's own note of a link that somebody else set up: ``connected (externally)``.

        What it makes for a card without a profile (``Wired connection 1``) is generated, too, but not volatile.
        """
        return self.file.get(".nmmeta", "nm-generated") == self.file.get(".nmmeta", "volatile") == "true"

    @property
    def netplan(self) -> bool:
        return self.path.rpartition("/")[2].startswith("netplan-")

    @property
    def bound(self) -> bool:
        """It is for one link alone, so that it may become the port's."""
        return bool(self.link or self.file.get("ethernet", "mac-address") or self.type in STACKED_TYPES)

    @property
    def writer(self) -> str:
        origin = self.file.get("user", ORIGIN)
        if "cloud-init" in origin or self.path.rpartition("/")[2].startswith("cloud-init-"):
            return "cloud-init"
        return origin


def all_of(system: System) -> Iterator[Profile]:
    """In the order in which one with the same UUID goes before another."""
    for folder in (RUNTIME, PERSISTENT, VENDOR):
        for name in system.names(folder):
            if name.endswith(SUFFIX) and not name.startswith("."):
                yield read(system, f"{folder}/{name}")


def read(system: System, path: str) -> Profile:
    """SystemCallError, NotSupportedError with the place of what is wrong in it."""
    try:
        with open(system.path(path), "rb") as file:
            content = file.read(MOST + 1)
    except OSError as error:
        raise SystemCallError(f"read {path}", error) from error
    if len(content) > MOST:
        raise NotSupportedError(f"{path}: size is over {MOST} bytes, expected a profile")
    return Profile(path, keyfile.parse(content.decode("utf-8", "surrogateescape"), path))


def by_uuid(system: System, wanted: str) -> Profile | None:
    return next((profile for profile in all_of(system) if profile.uuid == wanted), None)


def of_bridge(system: System, bridge: str) -> Profile | None:
    """The lasting one that makes it."""
    return next((p for p in all_of(system) if p.persistent and p.type == "bridge" and p.link == bridge), None)


def of_port(system: System, bridge: Profile, port: str) -> Profile | None:
    """The lasting one that makes ``port`` a port of the bridge. One for a MAC address has no link's name."""
    for profile in all_of(system):
        mine = profile.persistent and profile.controller in {bridge.link, bridge.uuid}
        if mine and profile.link in {port, ""}:
            return profile
    return None


def new_uuid(system: System, name: str) -> str:
    """The same on every day for one host and name, so that a plan that is made twice is the same plan."""
    return str(uuid.uuid5(NAMESPACE, f"{system.read_or('/etc/machine-id', '')} {name}"))
