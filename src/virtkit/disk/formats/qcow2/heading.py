"""The header of an image that is written: changed field by field, in one write that no crash can tear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.disk.formats.qcow2.head import read_head
from virtkit.disk.formats.qcow2.layout import V2
from virtkit.disk.formats.qcow2.packing import pack

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    from virtkit.core.structs import Struct
    from virtkit.disk.file import File
    from virtkit.disk.format import Reference
    from virtkit.disk.formats.qcow2.head import Head

    S = TypeVar("S", bound=Struct)


class Heading:
    def __init__(self, file: File, head: Head) -> None:
        self.file, self.head = file, head

    def change(self, **fields: int) -> None:
        """Fields of Header and Features; everything written before is on stable storage first, they are after."""
        self.file.sync()
        header, features = self.head.header, self.head.features
        own = {name: value for name, value in fields.items() if name in vars(header)}
        header = _replaced(header, own)
        features = _replaced(features, {name: value for name, value in fields.items() if name not in own})
        newer = b"" if header.version == V2 else features.pack()
        self.file.write(0, header.pack() + newer)
        self.file.sync()
        self.head = self.head._replace(header=header, features=features)

    def set_backing(self, backing: Reference | None) -> None:
        """UsageError for a name that does not fit."""
        self.replace(self.head._replace(backing=backing))

    def replace(self, head: Head) -> None:
        """Only what changes is written: a cluster of 2 MiB might be torn. UsageError for what does not fit."""
        new = pack(self.file.name, head)
        old = self.file.read(0, len(new)).ljust(len(new), b"\0")
        end = len(new)
        while end > 0 and new[end - 1] == old[end - 1]:
            end -= 1
        self.file.sync()
        self.file.write(0, new[:end])
        self.file.sync()
        self.head = read_head(self.file)


def _replaced(record: S, fields: Mapping[str, int]) -> S:
    return type(record)(**{**vars(record), **fields})
