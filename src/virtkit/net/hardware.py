"""What only a real card has: a driver, and what udev knows of its place (udev keeps that for other programs)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from virtkit.core.system import System


class Card(NamedTuple):
    driver: str  # empty: none, as virtual links have
    properties: dict[str, str]  # ID_PATH ...; empty where no udev runs


def of(system: System, link: str) -> Card:
    folder = f"/sys/class/net/{link}"
    driver = system.path(f"{folder}/device/driver")
    lines = system.read_or(f"/run/udev/data/n{system.read_or(f'{folder}/ifindex', '')}", "").splitlines()
    said = (line.removeprefix("E:").partition("=") for line in lines if line.startswith("E:"))
    return Card(driver.resolve().name if driver.exists() else "", {key: value for key, _, value in said})
