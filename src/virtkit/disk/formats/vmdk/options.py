"""What ``-o`` says of a new VMDK, read once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.disk.format import Option

if TYPE_CHECKING:
    from collections.abc import Mapping

MONOLITHIC_SPARSE, MONOLITHIC_FLAT = "monolithicSparse", "monolithicFlat"
SPLIT_SPARSE, SPLIT_FLAT = "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"
STREAM = "streamOptimized"
SUBFORMATS = (MONOLITHIC_SPARSE, MONOLITHIC_FLAT, SPLIT_SPARSE, SPLIT_FLAT, STREAM)
FLAT, SPLIT = (MONOLITHIC_FLAT, SPLIT_FLAT), (SPLIT_SPARSE, SPLIT_FLAT)
ADAPTERS = ("ide", "lsilogic", "buslogic", "legacyESX", "pvscsi")
SWITCH = {"on": True, "off": False}
UNDEFINED = "undefined"  # qemu-img's word for: not said

OPTIONS = (
    Option("subformat", ", ".join(SUBFORMATS), MONOLITHIC_SPARSE),
    Option("adapter_type", f"controller that the disk is made for: {', '.join(ADAPTERS)}", "ide"),
    Option("hwversion", "version of VMware's virtual hardware", "4"),
    Option("toolsversion", "version of VMware's tools in the guest", "2147483647"),
    Option("zeroed_grain", "on: grains of zeros are only marked; VirtualBox does not read such images", "off"),
    Option("compat6", "on: hwversion is 6", "off"),
)


class Options:
    def __init__(self, given: Mapping[str, str]) -> None:
        """UsageError."""
        self.subformat = _choice(given, "subformat", SUBFORMATS)
        self.adapter = _choice(given, "adapter_type", ADAPTERS)
        self.zeroed = SWITCH[_choice(given, "zeroed_grain", tuple(SWITCH))]
        self.tools_version = _text(given, "toolsversion", "2147483647")
        self.hw_version = _text(given, "hwversion", UNDEFINED)
        compat6 = SWITCH[_choice(given, "compat6", tuple(SWITCH))]
        if compat6 and self.hw_version != UNDEFINED:
            raise UsageError(f"vmdk: hwversion is {self.hw_version} with compat6, expected one of the two")
        if self.hw_version == UNDEFINED:
            self.hw_version = "6" if compat6 else "4"
        if self.zeroed and (self.flat or self.stream):
            raise UsageError(f"vmdk: zeroed_grain is on with {self.subformat}, expected a sparse subformat")

    @property
    def flat(self) -> bool:
        return self.subformat in FLAT

    @property
    def split(self) -> bool:
        return self.subformat in SPLIT

    @property
    def stream(self) -> bool:
        return self.subformat == STREAM


def _choice(given: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    default = next(option.default for option in OPTIONS if option.name == name)
    value = given.get(name, default)
    if value not in known:
        raise UsageError(f"vmdk: {name} is {value}, expected {', '.join(known)}")
    return value


def _text(given: Mapping[str, str], name: str, default: str) -> str:
    value = given.get(name, default)
    if not value.isprintable() or '"' in value:
        raise UsageError(f"vmdk: {name} is {value!r}, expected a word without quotation marks")
    return value
