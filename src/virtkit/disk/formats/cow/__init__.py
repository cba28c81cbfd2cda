"""COW: QEMU's old copy-on-write format (version 2), and User-Mode Linux's (versions 2 and 3).

Source of truth: QEMU 2.1, block/cow.c; Linux, arch/um/drivers/cow_user.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.formats.cow import signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer, Findings, Image, Measured, Option, Writer
    from virtkit.disk.formats.cow.image import CowImage


class Cow:
    title = "Old copy-on-write file"
    suffixes = (".cow",)

    @property
    def options(self) -> tuple[Option, ...]:
        from virtkit.disk.formats.cow.writer import OPTIONS

        return OPTIONS

    def probe(self, head: bytes) -> bool:
        return signature.leads(head)

    def open(self, file: File, access: Access = READ_ONLY) -> CowImage:
        from virtkit.disk.formats.cow.image import CowImage
        from virtkit.disk.formats.cow.layout import read_head

        head = read_head(file)
        if not access.writable:
            return CowImage(file, head, access)
        from virtkit.disk.formats.cow.live import LiveCow

        return LiveCow(file, head, access)

    def writer(self, file: File, blank: Blank) -> Writer:
        from virtkit.disk.formats.cow.writer import CowWriter

        return CowWriter(file, blank)

    def unit(self, options: Mapping[str, str]) -> int:
        from virtkit.disk.formats.cow.writer import UNIT

        return UNIT

    def encoder(self, level: str, options: Mapping[str, str]) -> Callable[[Buffer], bytes | None] | None:
        return None

    def measure(self, blank: Blank) -> Measured:
        from virtkit.disk.formats.cow import writer

        return writer.measure(blank)

    def check(self, image: Image) -> Findings:
        from virtkit.disk.formats.cow.check import check
        from virtkit.disk.formats.cow.image import CowImage

        if not isinstance(image, CowImage):
            raise TypeError(f"{image.file.name} was not opened as COW")
        return check(image)


FORMAT = Cow()
