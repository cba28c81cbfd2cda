"""VDI: VirtualBox's own format. Source of truth: VirtualBox, src/VBox/Storage/VDICore.h and VDI.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.progress import silent
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.formats.vdi import signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtkit.core.progress import Sink
    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer, Findings, Image, Measured, Option, Writer
    from virtkit.disk.formats.vdi.mapping import VdiImage


class Vdi:
    title = "VirtualBox disk image"
    suffixes = (".vdi",)

    @property
    def options(self) -> tuple[Option, ...]:
        from virtkit.disk.formats.vdi.writer import OPTIONS

        return OPTIONS

    def probe(self, head: bytes) -> bool:
        return signature.leads(head)

    def open(self, file: File, access: Access = READ_ONLY) -> VdiImage:
        from virtkit.disk.formats.vdi.layout import read_header
        from virtkit.disk.formats.vdi.mapping import VdiImage

        header = read_header(file)
        if not access.writable:
            return VdiImage(file, header, access)
        from virtkit.disk.formats.vdi.live import LiveVdi

        return LiveVdi(file, header, access)

    def writer(self, file: File, blank: Blank) -> Writer:
        from virtkit.disk.formats.vdi.writer import VdiWriter

        return VdiWriter(file, blank)

    def unit(self, options: Mapping[str, str]) -> int:
        from virtkit.disk.formats.vdi import writer

        return writer.unit(options)

    def encoder(self, level: str, options: Mapping[str, str]) -> Callable[[Buffer], bytes | None] | None:
        return None

    def measure(self, blank: Blank) -> Measured:
        from virtkit.disk.formats.vdi import writer

        return writer.measure(blank)

    def check(self, image: Image) -> Findings:
        from virtkit.disk.formats.vdi import check

        return check.check(_own(image))

    def repair(self, image: Image, *, leaks_only: bool, report: Sink = silent) -> Findings:
        from virtkit.disk.formats.vdi import check

        return check.repair(_own(image), leaks_only=leaks_only, report=report)


def _own(image: Image) -> VdiImage:
    from virtkit.disk.formats.vdi.mapping import VdiImage

    if not isinstance(image, VdiImage):
        raise TypeError(f"{image.file.name} was not opened as VDI")
    return image


FORMAT = Vdi()
