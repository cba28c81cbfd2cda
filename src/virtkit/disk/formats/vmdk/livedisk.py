"""A VMDK that is written in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.disk.formats.vmdk import growth, renewal
from virtkit.disk.formats.vmdk.descriptor import NO_PARENT
from virtkit.disk.formats.vmdk.image import VmdkImage
from virtkit.disk.formats.vmdk.live import LiveRow
from virtkit.disk.formats.vmdk.livesparse import LiveSparse

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.disk.format import Image
    from virtkit.disk.reference import Reference


class LiveVmdk(LiveRow):
    def resize(self, size: int) -> None:
        if size == self.size:
            return
        if not size or not self.live:
            raise NotSupportedError(f"{self.file.name}: size would be 0 bytes before or after, which VMDK cannot say")
        self.touch()
        self.flush()
        growth.resize(self, size)

    def set_backing(self, backing: Reference | None, below: Image | None) -> None:
        if not all(isinstance(part, LiveSparse) for part in self.live):
            raise NotSupportedError(
                f"{self.file.name}: {self.descriptor.create_type} cannot have a backing file",
                hint="virtkit disk convert -o subformat=monolithicSparse",
            )
        self.flush()
        self.describe(self._with_parent(backing, below))
        self.tell_parts()
        self.file.sync()

    def compact(self, report: Sink) -> None:
        from virtkit.disk.formats.vmdk import compaction

        self.flush()
        sparse = [part for part in self.live if isinstance(part, LiveSparse)]
        if not sparse:
            raise NotSupportedError(
                f"{self.file.name}: {self.descriptor.create_type} has no grains that could be moved"
            )
        for part in sparse:
            compaction.compact(part, report)

    def _with_parent(self, backing: Reference | None, below: Image | None) -> str:
        if backing is None:
            return renewal.with_parent(self.descriptor, None, NO_PARENT)
        if isinstance(below, VmdkImage):
            return renewal.with_parent(self.descriptor, backing.name, below.descriptor.cid)
        if below is None and self.descriptor.parent_cid is not None:
            return renewal.with_parent(self.descriptor, backing.name, self.descriptor.parent_cid)
        raise UsageError(
            f"{self.file.name}: backing file {backing.name} is no VMDK that could be opened, expected one: "
            "the image keeps its content id",
            hint=f"virtkit disk convert -O vmdk {backing.name} base.vmdk",
        )
