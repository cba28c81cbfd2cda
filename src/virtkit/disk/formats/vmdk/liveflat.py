"""Extents without tables, written in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.disk.formats.vmdk.flat import FlatPart, ZeroPart

if TYPE_CHECKING:
    from virtkit.disk.format import Buffer


class LiveFlat(FlatPart):
    def write(self, start: int, data: Buffer) -> None:
        self.file.write(self.at + start, data)

    def zero(self, start: int, length: int) -> None:
        self.file.zero(self.at + start, length)

    def discard(self, start: int, length: int) -> None:
        if not self.file.is_device:  # what a discarded block reads as is the drive's own affair
            self.file.zero(self.at + start, length)

    def forget(self, start: int, length: int) -> None:
        self.zero(start, length)

    def flush(self) -> None:
        self.file.sync()

    def end(self) -> None:
        """Nothing tells whether it was closed."""


class LiveZero(ZeroPart):
    def write(self, start: int, data: Buffer) -> None:
        if memoryview(data).cast("B").tobytes().strip(b"\0"):
            raise NotSupportedError(
                f"vmdk: bytes from {start:#x} of a ZERO extent cannot be written: they have no file"
            )

    def zero(self, start: int, length: int) -> None:
        """It is."""

    def discard(self, start: int, length: int) -> None:
        """It takes no room."""

    def forget(self, start: int, length: int) -> None:
        """It is zeros whatever lies below."""

    def flush(self) -> None:
        """There is nothing."""

    def end(self) -> None:
        """There is nothing."""
