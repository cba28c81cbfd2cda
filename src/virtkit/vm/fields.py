"""Fields of a running machine, as libvirt says that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.vm.difference import flatten

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.vm.machine import Machine


def read(machine: Machine, device: str, paths: Iterable[str]) -> dict[str, str]:
    found = flatten(machine.now().node)
    return {path: found.get(whole(device, path), "") for path in paths}


def whole(device: str, path: str) -> str:
    """``disk[vda]`` and ``driver@cache`` make ``disk[vda]/driver@cache``."""
    return f"{device}{path}" if path.startswith("@") or not device else f"{device}/{path}"
