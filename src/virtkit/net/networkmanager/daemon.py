"""The running NetworkManager: asked with nmcli and busctl, told with nmcli. Everything here costs 10 to 20 ms."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, CommandError, NetworkError, NotFoundError
from virtkit.net.networkmanager import keyfile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtkit.core.system import System
    from virtkit.net.networkmanager.keyfile import Keyfile

BUS = "org.freedesktop.NetworkManager"
ROOT = "/org/freedesktop/NetworkManager"
DEVICES = "/run/NetworkManager/devices"  # one file for each link, by its index
UNKNOWN_LINK = 10  # nmcli(1), exit status
RESTART = "systemctl restart NetworkManager"
DISCONNECTED, ACTIVATED = 30, 100  # NMDeviceState
PATIENCE = 45  # seconds: NetworkManager's own for DHCP
POLL = 0.1  # seconds
CALM = 0.3  # seconds; an activation that was asked for begins within some milliseconds
KEEP_ADDRESSES = 1  # NM_DEVICE_REAPPLY_FLAGS_PRESERVE_EXTERNAL_IP, since 1.42
CONTROLLERS = (1, 46)  # version that says controller and port where those before said master and slave
OFFLINE = (1, 38)  # version whose nmcli checks profiles without a daemon


@dataclass(frozen=True)
class Device:
    """A link as NetworkManager sees it."""

    path: str  # on D-Bus
    state: int
    said: str  # the state in words: ``connected (externally)``
    uuid: str  # of the active profile; empty: none
    lease4: dict[str, str] = field(default_factory=dict)  # what its DHCP client got; empty: there is none, or it waits
    lease6: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """Another program's promise to bring everything back unless it says otherwise in time."""

    path: str
    devices: tuple[str, ...]  # D-Bus paths; empty: all
    left: int  # seconds; 0: it never ends by itself


def device_file(system: System, link: str) -> Keyfile | None:
    """What NetworkManager keeps about a link for its own next start; one small file, so it may be asked always."""
    index = system.read_or(f"/sys/class/net/{link}/ifindex", "")
    text = system.read_or(f"{DEVICES}/{index}", "") if index else ""
    return keyfile.parse(text) if text else None


def nmcli(system: System, *arguments: str, timeout: float = 60) -> str:
    return system.run(["nmcli", *arguments], timeout=timeout).stdout


def version(system: System) -> tuple[int, ...]:
    """Of nmcli, which is the daemon's: they come in one package."""
    found = re.search(r"(\d+)\.(\d+)", nmcli(system, "--version"))
    return tuple(map(int, found.groups())) if found else (0, 0)


def device(system: System, link: str) -> Device | None:
    """None: NetworkManager does not know the link. BusyError: it does not answer."""
    fields = "GENERAL,DHCP4,DHCP6"
    command = ["nmcli", "-t", "-e", "no", "-f", fields, "device", "show", link]
    done = system.run(command, check=False)
    if done.status == UNKNOWN_LINK:
        return None
    if done.status:
        said = done.stderr.strip().removeprefix("Error: ").rstrip(".")
        raise BusyError(f"{link}: is NetworkManager's, which does not answer: {said}", hint=RESTART)
    return _device(done.stdout)


def _device(shown: str) -> Device:
    values = dict(line.partition(":")[::2] for line in shown.splitlines())
    leases: dict[str, dict[str, str]] = {"DHCP4": {}, "DHCP6": {}}
    for name, value in values.items():
        if name[:5] in leases:
            key, _, content = value.partition(" = ")
            leases[name[:5]][key] = content
    number, _, said = values.get("GENERAL.STATE", "").partition(" ")
    uuid = values.get("GENERAL.CON-UUID", "")
    path = values.get("GENERAL.DBUS-PATH", "")
    said = said.removeprefix("(").removesuffix(")")
    return Device(path, int(number or 0), said, uuid, leases["DHCP4"], leases["DHCP6"])


def file_of(system: System, uuid: str) -> str:
    """Where a profile is, of whatever plug-in of NetworkManager; empty: nowhere, or not known."""
    shown = nmcli(system, "-t", "-e", "no", "-f", "UUID,FILENAME", "connection", "show")
    return dict(line.partition(":")[::2] for line in shown.splitlines()).get(uuid, "")


def checkpoints(system: System) -> list[Checkpoint]:
    found = []
    for path in _property(system, ROOT, BUS, "Checkpoints"):
        interface = f"{BUS}.Checkpoint"
        created, timeout = (_number(system, path, interface, name) for name in ("Created", "RollbackTimeout"))
        left = timeout - (time.clock_gettime(time.CLOCK_BOOTTIME) - created / 1000)  # milliseconds since boot
        devices = tuple(_property(system, path, interface, "Devices"))
        found.append(Checkpoint(path, devices, max(1, round(left)) if timeout else 0))
    return found


def _number(system: System, path: str, interface: str, name: str) -> int:
    return int(_property(system, path, interface, name)[0])


def _property(system: System, path: str, interface: str, name: str) -> list[str]:
    """Its value as text: one, or one of each member of an array."""
    said = system.run(["busctl", "--system", "--json=short", "get-property", BUS, path, interface, name]).stdout
    data = json.loads(said)["data"]
    return [str(value) for value in (data if isinstance(data, list) else [data])]


def load(system: System, paths: Sequence[str]) -> None:
    """Read these files anew; a file that is gone takes its profile with it, and ends what is active by it."""
    if paths:
        nmcli(system, "connection", "load", *paths)


def activate(system: System, uuid: str, link: str) -> None:
    nmcli(system, "-w", str(PATIENCE), "connection", "up", "uuid", uuid, "ifname", link, timeout=PATIENCE + 5)


def deactivate(system: System, uuid: str) -> None:
    nmcli(system, "connection", "down", "uuid", uuid)


def connect(system: System, link: str) -> None:
    """By the profile that NetworkManager itself finds best, as at the start of the host."""
    nmcli(system, "-w", str(PATIENCE), "device", "connect", link, timeout=PATIENCE + 5)


def settled(system: System, link: str) -> Device:
    """Once nothing is under way that somebody who is gone has asked for; NotFoundError: it does not know the link."""
    deadline, since = time.monotonic() + PATIENCE, 0.0
    while True:
        found, now = device(system, link), time.monotonic()
        if found is None:
            raise NotFoundError(f"{link}: NetworkManager does not know it", hint="nmcli device")
        calm = found.state <= DISCONNECTED or found.state == ACTIVATED
        since = (since or now) if calm else 0.0
        if (since and now - since >= CALM) or now > deadline:
            return found
        time.sleep(POLL)


def is_port(system: System, device: Device) -> bool:
    """By the profile as it was when it was activated: what it says by now may be something else."""
    return device.state == ACTIVATED and bool({"controller", "master"} & applied(system, device)["connection"].keys())


def applied(system: System, device: Device) -> dict[str, dict[str, str]]:
    """The profile as the device has it, section by section."""
    call = ["call", BUS, device.path, f"{BUS}.Device", "GetAppliedConnection", "u", "0"]
    said, _ = json.loads(system.run(["busctl", "--system", "--json=short", *call]).stdout)["data"]
    return {name: {key: str(value["data"]) for key, value in part.items()} for name, part in said.items()}


def destroy_command(checkpoint: Checkpoint) -> str:
    return f"busctl call {BUS} {ROOT} {BUS} CheckpointDestroy o {checkpoint.path}"


def reapply(system: System, device: Device) -> None:
    """The device takes its profile as it is now, without going down; what else the link holds stays on it.

    Before 1.42 what the profile does not name is taken off: a lease is then missing until the DHCP server answers.
    """
    command = ["busctl", "--system", "call", BUS, device.path, f"{BUS}.Device", "Reapply", "a{sa{sv}}tu", "0", "0"]
    try:
        system.run([*command, str(KEEP_ADDRESSES)])
    except CommandError as error:
        if "flags" not in error.message:
            raise
        system.run([*command, "0"])


def wait(what: Callable[[], str], patience: float = PATIENCE) -> None:
    """Until ``what`` says nothing any more. NetworkError with what it says."""
    deadline = time.monotonic() + patience
    while said := what():
        if time.monotonic() > deadline:
            raise NetworkError(f"{said} after {patience:g} s")
        time.sleep(POLL)


def check_offline(system: System, text: str) -> str:
    """What nmcli says against a profile; empty: nothing, or this nmcli cannot say it."""
    try:
        if version(system) < OFFLINE:
            return ""
    except NotFoundError:
        return ""
    command = [
        "nmcli",
        "--offline",
        "connection",
        "modify",
        "connection.id",
        keyfile.value_of(text, "connection", "id"),
    ]
    done = system.run(command, text=text, check=False)
    return done.stderr.strip().removeprefix("Error: ") if done.status else ""
