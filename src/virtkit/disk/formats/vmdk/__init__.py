"""VMDK, all kinds of VMware's disks: in one file, in several, on a parent, compressed, of ESX.

Specification: VMware, Virtual Disk Format 5.0; what programs really write is told where it differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.core.progress import Sink, silent
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.formats.vmdk import signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer, Findings, Image, Measured, Option, Writer
    from virtkit.disk.formats.vmdk.image import VmdkImage


class Vmdk:
    title = "VMware virtual disk"
    suffixes = (".vmdk",)

    @property
    def options(self) -> tuple[Option, ...]:
        from virtkit.disk.formats.vmdk.options import OPTIONS

        return OPTIONS

    def probe(self, head: bytes) -> bool:
        return signature.leads(head)

    def open(self, file: File, access: Access = READ_ONLY) -> VmdkImage:
        if access.writable:
            from virtkit.disk.formats.vmdk import writable

            return writable.open_live(file, access)
        from virtkit.disk.formats.vmdk import readable

        return readable.open_image(file, access)

    def writer(self, file: File, blank: Blank) -> Writer:
        from virtkit.disk.formats.vmdk.options import Options
        from virtkit.disk.formats.vmdk.stream import StreamWriter
        from virtkit.disk.formats.vmdk.writer import VmdkWriter

        return StreamWriter(file, blank) if Options(blank.options).stream else VmdkWriter(file, blank)

    def encoder(self, level: str, options: Mapping[str, str]) -> Callable[[Buffer], bytes | None] | None:
        """StreamOptimized has compressed grains only, be they longer than before."""
        from virtkit.disk import codecs
        from virtkit.disk.formats.vmdk.options import Options

        return codecs.encoder("vmdk", level, always=True) if Options(options).stream else None

    def must_encode(self, options: Mapping[str, str]) -> bool:
        from virtkit.disk.formats.vmdk.options import Options

        return Options(options).stream

    def unit(self, options: Mapping[str, str]) -> int:
        from virtkit.disk.formats.vmdk.layouts import FlatLayout, SparseLayout
        from virtkit.disk.formats.vmdk.options import Options

        return FlatLayout.unit if Options(options).flat else SparseLayout.unit

    def measure(self, blank: Blank) -> Measured:
        from virtkit.disk.formats.vmdk import sizes

        return sizes.measure(blank)

    def check(self, image: Image) -> Findings:
        from virtkit.disk.formats.vmdk import check

        return check.check(_own(image).parts)

    def repair(self, image: Image, *, leaks_only: bool, report: Sink = silent) -> Findings:
        from virtkit.disk.formats.vmdk import repair

        return repair.repair(_own(image), leaks_only=leaks_only, report=report)


def _own(image: Image) -> VmdkImage:
    from virtkit.disk.formats.vmdk.image import VmdkImage

    if not isinstance(image, VmdkImage):
        raise UsageError(f"{image.file.name}: is no VMDK")
    return image


FORMAT = Vmdk()
